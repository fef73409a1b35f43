"""`mlcicd ci`: what runs for a change, in two tiers."""
