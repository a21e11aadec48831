"""One results folder on disk: journal, leases, what may be deleted."""
