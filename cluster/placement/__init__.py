"""Where trials go: size classes, requests to Ray, and the out-of-memory policy."""
