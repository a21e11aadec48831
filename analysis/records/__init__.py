"""What the journal says, read."""
