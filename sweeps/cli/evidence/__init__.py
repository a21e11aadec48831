"""Verbs that judge: `verdicts`, `report`, `kit` of claims, `aggregate` over studies, `lint` of printed numbers."""
