"""RULER: the tasks of NVIDIA's long-context benchmark that need no data."""

from trainables.tasks.ruler.config import RulerConfig

__all__ = ["RulerConfig"]
