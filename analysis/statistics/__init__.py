"""Transforms of metrics, intervals and tests."""
