"""Where trials go: size classes, requests to Ray, and what to do when memory runs out."""
