"""Verbs that judge claims and write what they found: `verdicts`, `report`, `kit`; and `lint` of printed numbers."""
