"""Campaigns: studies in phases, with gates between them and rules for what follows; `library/` holds them."""
