"""The phase memories."""
