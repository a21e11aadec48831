"""Where trials run: inventory, memory estimates, resource requests, Ray session."""
