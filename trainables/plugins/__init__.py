"""Plugins: architectures and tasks from outside this repository."""
