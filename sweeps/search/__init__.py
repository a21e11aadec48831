"""Proposers: which replicate runs next."""
