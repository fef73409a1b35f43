"""The webhook receiver: proves who sent a delivery, and keeps it before it says so."""
