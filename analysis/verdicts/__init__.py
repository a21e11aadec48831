"""What the results of a study say of its claims."""
