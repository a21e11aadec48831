"""How a text is split; the convention is in `base`."""

from __future__ import annotations

from trainables.data.corpora import Corpus


def split_points(length: int, *, val_fraction: float, test_fraction: float) -> tuple[int, int]:
    """Return where validation starts, and where test does, in a text of `length` characters."""
    # Rounded, because 1 - .05 - .05 is .8999999999999999 and would move the split by one character.
    return int(length * round(1 - val_fraction - test_fraction, 12)), length - int(length * test_fraction)


def split_text(corpus: Corpus, *, val_fraction: float, test_fraction: float) -> dict[str, str]:
    """Return the text of `train`, `val` and, if there is one, `test`."""
    text, texts = corpus.train, {}
    val_fraction = val_fraction if corpus.val is None else 0.0
    test_fraction = test_fraction if corpus.test is None else 0.0
    train_end, test_start = split_points(len(text), val_fraction=val_fraction, test_fraction=test_fraction)
    texts["train"] = text[:train_end]
    texts["val"] = text[train_end:test_start] if corpus.val is None else corpus.val
    if corpus.test is not None:
        texts["test"] = corpus.test
    elif test_fraction > 0:
        texts["test"] = text[test_start:]
    return texts
