"""What one trial does: configurations, architectures, tasks and the training loop. PyTorch; no MLflow."""
