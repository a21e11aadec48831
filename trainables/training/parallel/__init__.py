"""Several processes that train one replicate together."""
