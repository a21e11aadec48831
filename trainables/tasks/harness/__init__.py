"""lm-evaluation-harness as an evaluator: any of its tasks, beside a task that is trained on."""

from trainables.tasks.harness.config import LmEvalConfig

__all__ = ["LmEvalConfig"]
