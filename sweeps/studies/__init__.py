"""Studies: YAML files, their validation and resolution, and the library."""
