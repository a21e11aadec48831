"""Language modelling on text."""

from trainables.tasks.text.language import LanguageConfig
from trainables.tasks.text.lines import LinesConfig

__all__ = ["LanguageConfig", "LinesConfig"]
