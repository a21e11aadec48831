"""The AFRB block."""
