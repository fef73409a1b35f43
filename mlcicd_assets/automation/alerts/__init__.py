"""What happened, and whom it concerns: the one watch behind the sensor `alerts` and `mlcicd alerts check`."""
