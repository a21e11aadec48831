"""Everything one trial needs: configurations, architectures, tasks and the training loop. PyTorch; no MLflow."""
