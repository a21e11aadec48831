"""Ray: addresses, sessions and jobs."""
