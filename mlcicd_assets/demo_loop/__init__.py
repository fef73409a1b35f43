"""`make demo-loop`: the loop that closes by itself, played on simulated payments with time compressed."""
