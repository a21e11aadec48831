"""The fields of the facts task, and the words of its sentences."""

from __future__ import annotations

import math
from itertools import product
from typing import Literal, Self

from pydantic import Field, model_validator

from trainables.registry import register_task
from trainables.tasks.synthetic import SyntheticConfig

THINGS = ("bag", "box", "cap", "cup", "hat", "key", "map", "pen")
SYLLABLES = tuple(consonant + vowel for consonant, vowel in product("bdfgklmnprstvz", "aeiou"))
WORDS = tuple(first + second for first, second in product(SYLLABLES, SYLLABLES))
"""Every word of two syllables: 4 letters, 4,900 words."""
WORD_LENGTH = 4


@register_task("facts", version=2)
class FactsConfig(SyntheticConfig):
    """Facts stated in sentences, and a query for one of them."""

    builds = "trainables.tasks.facts.task:FactsTask"
    name: Literal["facts"] = "facts"
    num_facts: int = Field(4, ge=1)
    num_owners: int = Field(64, ge=1, le=len(WORDS) // 2)
    """Names of possible owners."""
    num_values: int = Field(64, ge=2, le=len(WORDS) // 2)
    """Possible values; none of them is an owner's name."""
    owners_per_example: int = Field(2, ge=1)
    """Owners in one example. All own the same things, except that the last thing may lack some owners."""

    @model_validator(mode="after")
    def _facts_differ(self) -> FactsConfig:
        if self.owners_per_example > self.num_owners:
            raise ValueError(
                f"owners_per_example={self.owners_per_example} must be at most num_owners={self.num_owners}"
            )
        if self.num_facts > self.owners_per_example * len(THINGS):
            raise ValueError(
                f"num_facts={self.num_facts} must be at most {self.owners_per_example * len(THINGS)}: "
                f"{len(THINGS)} things of each of owners_per_example={self.owners_per_example}"
            )
        if self.num_facts > self.num_values:
            raise ValueError(
                f"num_facts={self.num_facts} must be at most num_values={self.num_values}: values differ"
            )
        return self

    @property
    def things_per_example(self) -> int:
        """Number of things in one example, as few as possible."""
        return math.ceil(self.num_facts / self.owners_per_example)

    @property
    def score_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Scores of the answer."""
        return ("fact_exact_match", "fact_letter_accuracy", "fact_nats_per_token"), ()

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task."""
        return [cls.model_validate({"num_facts": 3, "num_val": 40, "num_test": 20})]
