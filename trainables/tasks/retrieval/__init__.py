"""What tasks share whose items are a long prompt and a short answer, which the model generates."""

from trainables.tasks.retrieval.config import RetrievalConfig

__all__ = ["RetrievalConfig"]
