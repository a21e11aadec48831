"""The interface of every task: a configuration, and the task that it builds."""

from trainables.tasks.base.config import TaskConfig

__all__ = ["TaskConfig"]
