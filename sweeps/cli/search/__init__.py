"""The verbs about a search and an ablation: `importance`, `enqueue`, `ablate` and `ui --optuna`."""
