"""The resonant family's parts: blocks that add a phase signal, and memories that forget and turn."""
