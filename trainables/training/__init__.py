"""The training loop and what it needs: optimisers, checkpoints, initial weights, numerics, probes."""
