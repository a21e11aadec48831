"""The parts that architectures are made of, each beside its slow reference."""
