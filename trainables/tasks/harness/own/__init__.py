"""Tasks of this project in the format of lm-evaluation-harness."""
