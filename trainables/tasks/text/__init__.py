"""Language modelling on text."""

from trainables.tasks.text.config import LanguageConfig, LinesConfig

__all__ = ["LanguageConfig", "LinesConfig"]
