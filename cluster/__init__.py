"""Where trials run: inventory, memory estimate, request, Ray session."""
