"""What searches have found beside their candidates: what choosing alone would have given, and paths to winners."""
