"""What may vary: dimensions, conditions and the canonical form of a configuration. Standard library only."""
