"""The verbs about a search and an ablation: `importance`, `enqueue` and `ablate`."""
