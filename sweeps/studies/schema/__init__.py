"""What may stand in a study file, as it is written."""
