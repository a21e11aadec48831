"""Searches in virtual time: worlds with a known truth, and strategies to compare."""
