"""MLflow, a projection of the journal."""
