"""Our `as_published` configurations beside the authors' own modules, row by row.

`python -m tests.parity` prints the table, `tests/golden/test_parity.py` asserts every row. The vectors in
`tests/fixtures/parity` hold weights, inputs, outputs and gradients that the published modules gave in float64.
"""
