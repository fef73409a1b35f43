"""Simulated card payments with two kinds of fraud, late labels and drift that can be switched on."""
