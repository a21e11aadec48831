"""What will run, and what it needs."""
