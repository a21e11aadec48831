"""A trial's configuration."""
