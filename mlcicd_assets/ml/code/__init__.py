"""The code lane: which functions a stage uses, and their versions."""
