"""Facts in text: recall in the form of language."""

from trainables.tasks.facts.config import FactsConfig

__all__ = ["FactsConfig"]
