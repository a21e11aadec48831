"""Corpora, hub files and tokenizers."""
