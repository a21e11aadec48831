"""Statistics of generated text: how often it repeats itself, and how much its n-grams differ from a text's."""

from __future__ import annotations

import torch
from torch import Tensor


def _grams(tokens_NT: Tensor, n: int) -> Tensor:
    """Return the n-grams of each sequence, of shape (N, T - n + 1, n).

    Raises:
        ValueError: If a sequence is shorter than n.
    """
    if tokens_NT.shape[1] < n:
        raise ValueError(f"sequences of {tokens_NT.shape[1]} tokens have no {n}-grams")
    return tokens_NT.unfold(1, n, 1)


def repeated_share(tokens_NT: Tensor, n: int) -> float:
    """Return the fraction of n-grams that occurred earlier in their own sequence: 0 if nothing is ever repeated.

    Source:
        Welleck et al. (2020), "Neural text generation with unlikelihood training", arXiv:1908.04319, seq-rep-n.
    """
    shares = [1 - len(grams.unique(dim=0)) / len(grams) for grams in _grams(tokens_NT, n)]
    return sum(shares) / len(shares)


def distinct_share(tokens_NT: Tensor, n: int) -> float:
    """Return the number of distinct n-grams in all sequences, as a fraction of all n-grams: distinct-n.

    Source:
        Li et al. (2016), "A diversity-promoting objective function for neural conversation models",
        arXiv:1510.03055, section 5.
    """
    grams = _grams(tokens_NT, n).flatten(0, 1)
    return len(grams.unique(dim=0)) / len(grams)


def divergence_bits(tokens_NT: Tensor, reference_T: Tensor, n: int, vocab_size: int) -> float:
    """Return the Kullback-Leibler divergence of the sequences' n-grams from those of a text, in bits an n-gram.

    With p the frequencies in the sequences and q those in the text, Σ p log2(p / q). One is added to the count of
    every possible n-gram in q, so that none has probability 0. A short sample has a positive divergence even if it
    is drawn from the text itself; compare with a part of the text of equal length.

    Args:
        tokens_NT: The sequences.
        reference_T: The text.
        n: Tokens of an n-gram; `vocab_size` ** n must fit into 64 bits.
        vocab_size: Number of different tokens.
    """
    place_n = vocab_size ** torch.arange(n)
    found, counts = (_grams(tokens_NT, n).flatten(0, 1).long() * place_n).sum(1).unique(return_counts=True)
    numbers_M = (_grams(reference_T[None], n)[0].long() * place_n).sum(1).sort().values
    in_reference = torch.searchsorted(numbers_M, found, right=True) - torch.searchsorted(numbers_M, found)
    p = counts.double() / counts.sum()
    q = (in_reference.double() + 1) / (len(numbers_M) + vocab_size**n)
    return float((p * (p / q).log2()).sum())
