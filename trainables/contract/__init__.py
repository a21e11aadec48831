"""What every architecture and task has to pass."""
