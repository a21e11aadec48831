"""`status`, `logs` and `stop`: what drivers do, from journal and leases alone."""
