"""Contracts that every architecture and task must satisfy."""
