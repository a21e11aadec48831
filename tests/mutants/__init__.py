"""Planted defects: each must turn its named test red. Run by `make mutants`, or `python -m tests.mutants`."""
