"""How much memory a trial needs."""
