"""What a search adds to a plan: rungs, candidates, the corners that size them, and how long it takes."""
