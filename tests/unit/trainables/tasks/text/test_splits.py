"""Where a text is cut, and which texts are not."""

from __future__ import annotations

import pytest

from trainables.data.corpora import Corpus
from trainables.tasks.text.splits import split_text


@pytest.mark.parametrize(
    ("val", "test", "sizes"),
    [(0.1, 0.0, (900, 100, None)), (0.05, 0.05, (900, 50, 50)), (0.1, 0.1, (800, 100, 100))],
)
def test_cuts_follow_nanogpt(val: float, test: float, sizes: tuple[int, ...]) -> None:
    texts = split_text(Corpus("x", "x" * 1000), val_fraction=val, test_fraction=test)
    assert (len(texts["train"]), len(texts["val"])) == sizes[:2]
    assert (len(texts["test"]) if "test" in texts else None) == sizes[2]


def test_declared_splits_are_not_cut() -> None:
    corpus = Corpus("x", "train" * 10, val="valid", test="test")
    assert split_text(corpus, val_fraction=0.5, test_fraction=0.2) == {
        "train": "train" * 10,
        "val": "valid",
        "test": "test",
    }
    only_test = Corpus("x", "t" * 100, test="test")
    sizes = {k: len(v) for k, v in split_text(only_test, val_fraction=0.1, test_fraction=0.2).items()}
    assert sizes == {"train": 90, "val": 10, "test": 4}
