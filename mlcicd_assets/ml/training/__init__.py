"""Windows, fitting, and the record of what was used."""
