"""What production shows of a model: windows, signals, and when they ask for a training."""
