"""One driver at work."""
