"""Samples of a language model: continuations of held-out text, measured and saved."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.data.errors import DataError
from trainables.data.tokenizers.base import Tokenizer
from trainables.metric import Metric
from trainables.randomness import generator as stream
from trainables.tasks.generation import generate
from trainables.tasks.text.config import MAX_NGRAM, SamplesConfig
from trainables.tasks.text.metrics import SAMPLE_MEASURES
from trainables.tasks.text.sample_metrics import distinct_share, divergence_bits, repeated_share

FILE_NAME = "samples.txt"


class Sampler:
    """Draws and measures samples that continue a held-out text.

    Args:
        config: What to generate.
        held_out_T: The text's tokens.
        tokenizer: Of the text.
        max_length: Longest input of a model, in tokens.

    Raises:
        DataError: If the text is too short.
    """

    def __init__(self, config: SamplesConfig, held_out_T: Tensor, tokenizer: Tokenizer, max_length: int) -> None:
        self.config, self.held_out_T, self.tokenizer, self.max_length = config, held_out_T, tokenizer, max_length
        num_starts = len(held_out_T) - config.length + 1
        if num_starts < 1:
            raise DataError(
                f"the val split has {len(held_out_T)} tokens, and samples need {config.length}: use a longer text, "
                "or lower samples.num_tokens or samples.prompt_tokens"
            )
        starts_N = torch.arange(config.num_samples) * num_starts // config.num_samples
        self.text_NT = held_out_T[starts_N[:, None] + torch.arange(config.length)].long()
        """Prompts with the original text that follows them."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics of validation samples."""
        return tuple(
            Metric(name=f"val/{name}", unit=unit, direction=direction, meaning=meaning)
            for name, unit, meaning, direction in SAMPLE_MEASURES
        )

    def draw(self, model: LanguageModel, device: torch.device) -> Tensor:
        """Return prompts with the model's continuations, on the CPU; the draws of every call are the same.

        Raises:
            FloatingPointError: If the model gives logits that are not finite.
        """
        config = self.config
        return generate(
            model,
            self.text_NT[:, : config.prompt_tokens].to(device),
            config.num_tokens,
            max_length=self.max_length,
            top_k=config.top_k,
            temperature=config.temperature,
            generator=stream(0, "samples"),
        ).cpu()

    def score(self, model: LanguageModel, device: torch.device) -> dict[str, float]:
        """Return the metrics of the model's samples; all NaN if it has diverged."""
        try:
            return self.measure(self.draw(model, device))
        except FloatingPointError:
            return {metric.name: math.nan for metric in self.metrics}

    def measure(self, samples_NT: Tensor) -> dict[str, float]:
        """Return the metrics of samples without their prompts."""
        written_NT, vocab_size = samples_NT[:, self.config.prompt_tokens :], self.tokenizer.vocab_size
        values = (
            repeated_share(written_NT, MAX_NGRAM),
            distinct_share(written_NT, 2),
            divergence_bits(written_NT, self.held_out_T, 1, vocab_size),
            divergence_bits(written_NT, self.held_out_T, 2, vocab_size),
        )
        return {metric.name: value for metric, value in zip(self.metrics, values, strict=True)}

    def references(self) -> dict[str, float]:
        """Return the metrics of the original continuations."""
        return self.measure(self.text_NT)

    def text(self, samples_NT: Tensor) -> str:
        """Return samples as readable text: each prompt, the model's continuation and the original one."""
        cut, parts = self.config.prompt_tokens, []
        for number, (sample_T, text_T) in enumerate(zip(samples_NT, self.text_NT, strict=True), start=1):
            sections = (("prompt", text_T[:cut]), ("model", sample_T[cut:]), ("text", text_T[cut:]))
            parts += [f"--- {number} {name}\n{self._decoded(tokens_T)}\n" for name, tokens_T in sections]
        return "".join(parts)

    def _decoded(self, tokens_T: Tensor) -> str:
        return self.tokenizer.decode(tokens_T.numpy().astype(np.int32))
