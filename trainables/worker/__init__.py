"""Code of a worker process: one attempt at a replicate."""
