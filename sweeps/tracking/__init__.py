"""MLflow sync: runs, metrics and notes derived from the journal."""
