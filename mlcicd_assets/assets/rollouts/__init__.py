"""Driving one release through its rollout, step by step, for whoever advances it; and back again."""
