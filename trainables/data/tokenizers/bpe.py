"""Byte-pair encoding, trained on the training text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from trainables.data.tokenizers.base import NUM_BYTES, Tokenizer, Tokens, begins_character, byte_level_piece


class BpeTokenizer(Tokenizer):
    """Byte-level byte-pair encoding: learnt from training text, able to represent any text."""

    name = "bpe"

    def __init__(self, training_text: str, vocab_size: int) -> None:
        """Learn the merges.

        Args:
            training_text: The training split only: merges learnt from held-out text would leak it.
            vocab_size: Largest vocabulary, at least 256; a short text can give fewer tokens.
        """
        if vocab_size < NUM_BYTES:
            raise ValueError(f"a byte-level vocabulary has at least {NUM_BYTES} tokens, got {vocab_size}")
        self._backend = _train_bpe(training_text, vocab_size)
        pieces = [byte_level_piece(self._backend.id_to_token(t)) for t in range(self._backend.get_vocab_size())]
        self.bytes_per_token_V = np.array([len(piece) for piece in pieces], dtype=np.int64)
        self.chars_per_token_V = np.array([sum(map(begins_character, piece)) for piece in pieces], dtype=np.int64)

    def encode(self, text: str) -> Tokens:
        """Return the tokens of `text` under the learnt merges."""
        return np.array(self._backend.encode(text).ids, dtype=np.int32)

    def decode(self, tokens: Tokens) -> str:
        """Return the text of `tokens`."""
        return str(self._backend.decode(tokens.tolist(), skip_special_tokens=False))


@lru_cache(maxsize=2)
def _train_bpe(training_text: str, vocab_size: int) -> Any:
    """Learn merges; cached, because every trial of a sweep needs the same ones."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # every byte, seen in training or not
        special_tokens=[],
        show_progress=False,
    )
    backend.train_from_iterator([training_text], trainer=trainer)
    return backend
