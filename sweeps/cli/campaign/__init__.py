"""`plan`, `run`, `status` and `results` of a campaign."""
