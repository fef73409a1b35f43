"""The code lane: what the project's code must pass, and what it has passed."""
