"""The verbs about a search and an ablation: `simulate`, `importance`, `enqueue`, `ablate` and `ui --optuna`."""
