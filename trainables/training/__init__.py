"""The training loop and what it needs: randomness, optimizers, checkpoints, probes."""
