"""A search on a page and in figures: its rungs, its candidates, and what they cost."""
