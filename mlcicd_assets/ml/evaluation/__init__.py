"""What a model is judged by, and the one decision about each gate."""
