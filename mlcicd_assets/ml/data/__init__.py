"""The data lane: contracts, statistics, drift, features and labels."""
