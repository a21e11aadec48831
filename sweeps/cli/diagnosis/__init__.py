"""The verb `diagnose`: encodings of positions in closed form, and trained models."""
