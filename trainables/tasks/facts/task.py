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

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED
from trainables.data.tokenizers.simple import CharTokenizer
from trainables.metric import Split
from trainables.randomness import generator as stream
from trainables.tasks.facts.config import SYLLABLES, THINGS, WORD_LENGTH, WORDS, FactsConfig
from trainables.tasks.scoring import generated_hits, token_nats
from trainables.tasks.synthetic.task import Examples, MetricSpec, SyntheticTask, at_targets


def sentence(thing: str, owner: str, value: str) -> str:
    """Return the sentence that states a fact."""
    return f"The {thing} of {owner} is {value}.\n"


TOKENIZER = CharTokenizer("".join(sorted(set(sentence("".join(THINGS), "".join(SYLLABLES), "")))))
SENTENCE_LENGTH = len(sentence(THINGS[0], WORDS[0], WORDS[0]))
ANSWER_END = 2
"""Characters of a sentence after its value; the last sentence lacks them."""


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
            MetricSpec(
                "fact_letter_accuracy",
                "generated letters that are the answer's in their place",
                guess,
                per_example=WORD_LENGTH,
            ),
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
