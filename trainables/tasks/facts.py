"""Facts in text: recall in the form of language. A few sentences state facts, and the last one queries one.

    The hat of mira is veko.
    The cup of tolu is sari.
    The hat of tolu is neba.
    The cup of mira is dupa.
    The cup of tolu is ____

A token is a character. A thing and an owner together identify a fact: each of them also occurs in others, with
another value, so that neither alone determines the answer. All words are equally long, so all examples are, and
there is no padding. The answer is generated from the text before it and the model's own characters.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED
from trainables.data.tokenizers.simple import CharTokenizer
from trainables.metric import Split
from trainables.randomness import generator as stream
from trainables.registry import register_task
from trainables.tasks.scoring import generated_hits, token_nats
from trainables.tasks.synthetic import Examples, MetricSpec, SyntheticConfig, SyntheticTask, at_targets

THINGS = ("bag", "box", "cap", "cup", "hat", "key", "map", "pen")
SYLLABLES = tuple(consonant + vowel for consonant, vowel in product("bdfgklmnprstvz", "aeiou"))
WORDS = tuple(first + second for first, second in product(SYLLABLES, SYLLABLES))
"""Every word of two syllables: 4 letters, 4,900 words."""
WORD_LENGTH = 4


def sentence(thing: str, owner: str, value: str) -> str:
    """Return the sentence that states a fact."""
    return f"The {thing} of {owner} is {value}.\n"


TOKENIZER = CharTokenizer("".join(sorted(set(sentence("".join(THINGS), "".join(SYLLABLES), "")))))
SENTENCE_LENGTH = len(sentence(THINGS[0], WORDS[0], WORDS[0]))
ANSWER_END = 2
"""Characters of a sentence after its value; the last sentence lacks them."""


@register_task("facts", version=2)
class FactsConfig(SyntheticConfig):
    """Facts stated in sentences, and a query for one of them."""

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

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task."""
        return [cls.model_validate({"num_facts": 3, "num_val": 40, "num_test": 20})]

    def build(self, data_dir: object) -> FactsTask:
        """Draw the words and the held-out examples, and the training examples if they are fixed."""
        return FactsTask(self)


class FactsTask(SyntheticTask[Examples]):
    """Texts that state facts and query one."""

    stream_name = "FactsTask"
    config: FactsConfig

    def __init__(self, config: FactsConfig) -> None:
        order = torch.randperm(len(WORDS), generator=stream(config.data_seed, "facts", "words")).tolist()
        words = [WORDS[place] for place in order]
        self.owners, self.values = words[: config.num_owners], words[-config.num_values :]
        # The answer's last character is only predicted, not read.
        length = (config.num_facts + 1) * SENTENCE_LENGTH - ANSWER_END - 1
        super().__init__(config, vocab_size=TOKENIZER.vocab_size, context_length=length)

    def _draw(self, size: int, generator: torch.Generator) -> Examples:
        texts = [self._text(generator) for _ in range(size)]
        whole_NT = torch.stack([torch.from_numpy(TOKENIZER.encode(text)).long() for text in texts])
        targets_NT = whole_NT[:, 1:].clone()
        targets_NT[:, :-WORD_LENGTH] = IGNORED
        return Examples(tokens_NT=whole_NT[:, :-1].contiguous(), targets_NT=targets_NT)

    def _text(self, generator: torch.Generator) -> str:
        """Return one example, up to the answer's last character."""

        def some(num: int, of: int) -> list[int]:
            chosen: list[int] = torch.randperm(of, generator=generator)[:num].tolist()
            return chosen

        config = self.config
        owners = [self.owners[place] for place in some(config.owners_per_example, len(self.owners))]
        things = [THINGS[place] for place in some(config.things_per_example, len(THINGS))]
        named = list(product(things, owners))[: config.num_facts]  # the last thing may lack some owners
        names = [named[place] for place in some(config.num_facts, config.num_facts)]
        values = [self.values[place] for place in some(config.num_facts, len(self.values))]
        facts = [sentence(*name, value) for name, value in zip(names, values, strict=True)]
        asked = int(torch.randint(config.num_facts, (), generator=generator))
        return "".join([*facts, facts[asked][:-ANSWER_END]])

    @property
    def primary_metric(self) -> str:
        """Rate of answers that are correct in every letter."""
        return "val/fact_exact_match"

    def _kinds(self, split: Split) -> list[MetricSpec]:
        guess = 1 / self.vocab_size
        return [
            MetricSpec(
                "fact_exact_match", f"answers generated with all {WORD_LENGTH} letters right", guess**WORD_LENGTH
            ),
            MetricSpec("fact_letter_accuracy", "generated letters that are the answer's in their place", guess),
            MetricSpec(
                "fact_nats_per_token",
                "mean negative log-likelihood of the answer's letters, those before each given",
                math.log(self.vocab_size),
                "nats/token",
                "minimise",
            ),
        ]

    def _scores(self, model: LanguageModel, examples: Examples) -> dict[str, Tensor]:
        nats_NL = token_nats(*at_targets(model, examples))
        answer_NL = examples.targets_NT[:, -WORD_LENGTH:]
        hits_NL, _ = generated_hits(model, examples.tokens_NT[:, : 1 - WORD_LENGTH], answer_NL, 1)
        return {
            "fact_exact_match": hits_NL.prod(1),
            "fact_letter_accuracy": hits_NL,
            "fact_nats_per_token": nats_NL,
        }

    def references(self) -> dict[str, dict[str, float]]:
        """Return the scores of guesses among all values, those stated, and those stated of the thing or the
        owner."""
        config = self.config
        owners_named = min(config.owners_per_example, config.num_facts)
        scores = {
            "guess a value": {"fact_exact_match": 1 / config.num_values},
            "guess a value stated": {"fact_exact_match": 1 / config.num_facts},
            "guess by the thing": {"fact_exact_match": config.things_per_example / config.num_facts},
            "guess by the owner": {"fact_exact_match": owners_named / config.num_facts},
        }
        return {
            model: {f"{split}/{name}": value for split in self.splits for name, value in metrics.items()}
            for model, metrics in scores.items()
        }
