"""Architectures and tasks from outside this repository."""
