"""Numbers that documents report, and what they must satisfy whatever was measured."""
