"""Numbers of arms and sweeps, compared."""
