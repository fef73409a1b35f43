"""Replaying gates over history."""
