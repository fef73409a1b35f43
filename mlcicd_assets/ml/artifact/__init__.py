"""The package: what is trained, signed, registered and served."""
