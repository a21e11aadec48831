"""What runs in a worker process: one attempt at a replicate."""
