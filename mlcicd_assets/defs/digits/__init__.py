"""Handwritten digits, 8 × 8 grey values each."""
