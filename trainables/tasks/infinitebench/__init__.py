"""InfiniteBench: pass keys and number strings in noise, and its tasks that are given as files."""

from trainables.tasks.infinitebench.config import InfiniteBenchConfig

__all__ = ["InfiniteBenchConfig"]
