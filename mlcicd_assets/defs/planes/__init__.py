"""The aircraft behind the flights: reference data by tail number."""
