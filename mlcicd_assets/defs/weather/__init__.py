"""Hourly weather at the three New York airports in 2013: reference data of the flights."""
