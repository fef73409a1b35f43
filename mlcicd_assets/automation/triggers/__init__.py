"""What asks for runs: commits, data that lands, and the webhooks that tell of both sooner."""
