"""The verbs that judge claims, and write what they found: `verdicts`, `report`, `kit`."""
