"""The library of studies: one YAML file each."""
