"""What each verb prints with --json: types, and the JSON Schemas made from them."""
