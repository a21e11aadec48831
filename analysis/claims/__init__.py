"""Scientific claims: their kinds, their declaration, and what can be detected."""
