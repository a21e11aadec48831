"""The building blocks of architectures, most with a slow reference implementation."""
