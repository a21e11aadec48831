"""Units of measure."""

MIB = 2**20
"""Bytes of a MiB."""
