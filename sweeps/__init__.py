"""Which trials run: studies, plans, the engine on Ray Tune, the journal, MLflow, the command line."""
