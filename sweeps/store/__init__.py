"""One results folder on disk: journal, leases, disk usage, cleanup."""
