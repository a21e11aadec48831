"""Sources of text: synthetic, a local file, a catalogue of known corpora, or the Hugging Face hub."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from search_spaces.suggestions import nearest
from trainables.data.errors import DataError
from trainables.data.hub import HubText, check_hub, is_local_repository, load_hub
from trainables.data.markov import DEFAULT_LENGTH, MarkovSource, synthetic_text

TINY_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
ENWIK8_BYTES = 100_000_000
ENWIK8_CUTS = (90_000_000, 95_000_000)
STDLIB_MAX_BYTES = 4 * 1024 * 1024

EMBEDDED = ("synthetic", "stdlib")
CATALOGUE = ("enwik8", "tiny_shakespeare", "wikitext2", "wikitext2_test")
_FILES = {
    "enwik8": ("enwik8",),
    "tiny_shakespeare": ("tinyshakespeare.txt",),
    "wikitext2": ("wikitext2/train.txt", "wikitext2/valid.txt", "wikitext2/test.txt"),
    "wikitext2_test": ("wikitext2/test.txt",),
}
"""What a local copy is called in the user's folder of corpora."""
_WIKITEXT_ON_HUB = "Salesforce/wikitext:wikitext-2-raw-v1"
_REPOSITORIES = {
    "enwik8": "LTCB/enwik8:enwik8-raw",
    "tiny_shakespeare": "karpathy/tiny_shakespeare",
    "wikitext2": _WIKITEXT_ON_HUB,
    "wikitext2_test": _WIKITEXT_ON_HUB,
}
"""Where the hub has it."""
_LICENCE_OF_WIKITEXT = {"licence": "CC BY-SA 3.0 and GFDL"}
DECLARED_SPLITS = frozenset({"enwik8", "wikitext2"})
"""Catalogue corpora whose splits are fixed by convention: fractions have no effect on them."""


@dataclass(frozen=True)
class Corpus:
    """Text, in the splits that its source declares, and where it came from."""

    name: str
    train: str
    """The whole text if the source declares no other split."""
    val: str | None = None
    test: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    """Source, path or repository, resolved revision, licence if known."""
    source: MarkovSource | None = None
    """The distribution of the text, if it is known exactly."""

    @property
    def sha256(self) -> str:
        """Hash of all splits in order, in hexadecimal."""
        text = "".join((self.train, self.val or "", self.test or ""))
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


def check_corpus_name(spec: str) -> str:
    """Return `spec` if it is a valid name of a corpus, which need not exist.

    Raises:
        ValueError: If it is not; the message gives the nearest name.
    """
    prefix, _, rest = spec.partition(":")
    if spec in {*EMBEDDED, *CATALOGUE} or (prefix in {"file", "hub"} and rest):
        return spec
    if prefix == "synthetic" and rest.isdecimal():
        return spec
    raise ValueError(
        f"unknown corpus '{spec}'; {nearest(spec, (*EMBEDDED, *CATALOGUE))} or write synthetic:SEED, file:PATH, "
        "hub:REPOSITORY[:CONFIGURATION]"
    )


def canonical_corpus(spec: str) -> str:
    """Return a corpus's name without the path of local data: what counts is its content, by the data hash."""
    prefix, _, rest = spec.partition(":")
    is_local = prefix == "file" or (prefix == "hub" and is_local_repository(rest))
    return prefix if is_local else spec


def absolute_corpus(spec: str, data_dir: Path | None) -> str:
    """Return a corpus's name with the path of local data made absolute, because workers run in other folders.

    Raises:
        DataError: If there is no such file.
    """
    prefix, _, rest = spec.partition(":")
    if prefix == "file":
        return f"file:{find_file(rest, data_dir)}"
    if prefix == "hub" and is_local_repository(rest):
        folder, colon, configuration = rest.partition(":")
        return f"hub:{Path(folder).expanduser().resolve()}{colon}{configuration}"
    return spec


def check_corpus(spec: str, data_dir: Path | None) -> None:
    """Check that a corpus exists, without reading it; what only the hub has is downloaded into its cache.

    Args:
        spec: As for `load_corpus`.
        data_dir: As for `load_corpus`.

    Raises:
        DataError: If it does not; the message says where it was looked for.
    """
    prefix, _, rest = spec.partition(":")
    if prefix == "file":
        find_file(rest, data_dir)
    elif prefix == "hub":
        check_hub(rest)
    elif spec in CATALOGUE and _local_copy(spec, data_dir) is None:
        check_hub(_REPOSITORIES[spec], **_in_messages(spec, data_dir))


def most_characters(spec: str, data_dir: Path | None, max_bytes: int | None) -> int | None:
    """Return the most characters that a declared split can have, without reading the corpus; None if unknown."""
    prefix, _, rest = spec.partition(":")
    if prefix == "synthetic":
        return max_bytes or DEFAULT_LENGTH
    size = find_file(rest, data_dir).stat().st_size if prefix == "file" else None
    return min((bound for bound in (size, max_bytes) if bound is not None), default=None)


def load_corpus(spec: str, *, data_dir: Path | None, max_bytes: int | None = None) -> Corpus:
    """Load a corpus.

    Args:
        spec: `synthetic[:SEED]`, `stdlib`, a catalogue name, `file:PATH` or
            `hub:REPOSITORY[:CONFIGURATION]`. A relative PATH is looked for in `data_dir`, then in the
            working folder. REPOSITORY may be a local folder with parquet files.
        data_dir: The user's folder of corpora (`PHASESWEEP_DATA`), if there is one.
        max_bytes: Keep only this many leading bytes of each declared split; a character is never cut.
            For `synthetic`, how many to generate.

    Raises:
        ValueError: If `spec` names no corpus.
        DataError: If the text is unavailable; the message says where it was looked for.
    """
    check_corpus_name(spec)
    prefix, _, rest = spec.partition(":")
    if prefix == "synthetic":
        return _synthetic(int(rest or 0), max_bytes or DEFAULT_LENGTH)
    if spec == "stdlib":
        corpus = _stdlib(max_bytes or STDLIB_MAX_BYTES)
    elif prefix == "file":
        corpus = _file(rest, data_dir)
    elif prefix == "hub":
        corpus = _from_hub(spec, load_hub(rest))
    else:
        load = {
            "enwik8": _enwik8,
            "tiny_shakespeare": _tiny_shakespeare,
            "wikitext2": _wikitext2,
            "wikitext2_test": _wikitext2_test,
        }[spec]
        corpus = load(data_dir)
    return _truncate(corpus, max_bytes)


def _truncate(corpus: Corpus, max_bytes: int | None) -> Corpus:
    if max_bytes is None:
        return corpus

    def head(text: str | None) -> str | None:
        if text is None:
            return None
        return text[:max_bytes].encode("utf-8")[:max_bytes].decode("utf-8", errors="ignore")

    provenance = {**corpus.provenance, "max_bytes": max_bytes}
    return replace(
        corpus,
        train=head(corpus.train) or "",
        val=head(corpus.val),
        test=head(corpus.test),
        provenance=provenance,
    )


def _synthetic(seed: int, length: int) -> Corpus:
    if length < 3:
        raise DataError(f"synthetic text needs max_bytes of at least 3, got {length}")
    source = MarkovSource(seed)
    provenance = {
        "source": "embedded: Markov chain of order 2",
        "seed": seed,
        "entropy_bits_per_char": source.entropy_bits_per_char,
    }
    return Corpus("synthetic", synthetic_text(seed, length), provenance=provenance, source=source)


_SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "dist-packages", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}
)


def _sources(folder: Path) -> Iterator[Path]:
    """Yield the Python files below `folder` by name, each folder's own files before those of its subfolders."""
    entries = sorted(folder.iterdir())
    for path in entries:
        # _sysconfigdata* describes the machine, not the library
        if path.suffix == ".py" and not path.name.startswith("_sysconfigdata"):
            yield path
    for path in entries:
        if path.is_dir() and path.name not in _SKIPPED_FOLDERS:
            yield from _sources(path)


def _stdlib(max_bytes: int) -> Corpus:
    """Read the sources of Python's standard library without its tests; for demonstration, because they change."""
    root = Path(sysconfig.get_paths()["stdlib"])
    parts: list[str] = []
    missing = max_bytes
    for path in _sources(root):
        with tokenize.open(path) as file:
            text = file.read()
        parts.append(text)
        missing -= len(text.encode("utf-8"))
        if missing <= 0:
            break
    if not parts:
        raise DataError(f"corpus 'stdlib': no Python sources under {root}; use the corpus 'synthetic' instead")
    version = ".".join(str(number) for number in sys.version_info[:3])
    provenance = {"source": "embedded: Python standard library", "python": version, "licence": "PSF-2.0"}
    return _truncate(Corpus("stdlib", "".join(parts), provenance=provenance), max_bytes)


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"corpus '{name}': cannot read {path}: {error.strerror}") from None


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); convert it first") from None


def find_file(spec: str, data_dir: Path | None, *, known_as: str | None = None) -> Path:
    """Return the absolute path of the text that `file:SPEC` names.

    Args:
        spec: A path.
        data_dir: See `load_corpus`.
        known_as: What the message calls it; None: a corpus.

    Raises:
        DataError: If there is no such file.
    """
    given = Path(spec).expanduser()
    places = [given] if given.is_absolute() else [d / given for d in (data_dir, Path.cwd()) if d is not None]
    for path in places:
        if path.is_file():
            return path.resolve()
    looked, name = ", ".join(str(path) for path in places), known_as or f"corpus 'file:{spec}'"
    raise DataError(
        f"{name}: no such file. Looked for {looked}. "
        "Give an absolute path, or set PHASESWEEP_DATA to the folder that holds it"
    )


def _file(spec: str, data_dir: Path | None) -> Corpus:
    path = find_file(spec, data_dir)
    text = _decode(_read(path, f"file:{spec}"), path)
    return Corpus(f"file:{spec}", text, provenance={"source": "file", "path": str(path)})


def _local_copy(spec: str, data_dir: Path | None) -> list[Path] | None:
    """Return the files of a known corpus in the user's folder of corpora, if all are there."""
    missing = _missing(spec, data_dir)
    return None if data_dir is None or missing else [data_dir / file for file in _FILES[spec]]


def _missing(spec: str, data_dir: Path | None) -> list[str]:
    return [file for file in _FILES[spec] if data_dir is None or not (data_dir / file).is_file()]


def _in_messages(spec: str, data_dir: Path | None) -> dict[str, str]:
    """Return what messages say of a known corpus that has no complete local copy."""
    where = "PHASESWEEP_DATA/{} (PHASESWEEP_DATA is not set)" if data_dir is None else f"{data_dir}/{{}}"
    looked = ", ".join(where.format(file) for file in _missing(spec, data_dir))
    return {"known_as": spec, "also_looked_for": looked}


def _hub_copy(spec: str, data_dir: Path | None) -> HubText:
    return load_hub(_REPOSITORIES[spec], **_in_messages(spec, data_dir))


def _tiny_shakespeare(data_dir: Path | None) -> Corpus:
    local = _local_copy("tiny_shakespeare", data_dir)
    if local is not None:
        (path,) = local
        text = _decode(_read(path, "tiny_shakespeare"), path)
        provenance: dict[str, Any] = {"source": "file", "path": str(path.resolve())}
    else:
        found = _hub_copy("tiny_shakespeare", data_dir)
        # The hub's copy is split 90/5/5; joined again it must equal the original, byte for byte.
        text = "".join((found.train, found.val or "", found.test or ""))
        provenance = found.provenance
    corpus = Corpus("tiny_shakespeare", text, provenance={**provenance, "licence": "public domain"})
    if corpus.sha256 != TINY_SHAKESPEARE_SHA256:
        where = provenance.get("path", provenance.get("repository"))
        raise DataError(
            f"corpus 'tiny_shakespeare': {where} is another text: SHA-256 {corpus.sha256[:12]}…, not "
            f"{TINY_SHAKESPEARE_SHA256[:12]}…. Fetch it again, or name your text with file:PATH"
        )
    return corpus


def _wikitext2(data_dir: Path | None) -> Corpus:
    """Raw WikiText-2. It must have its declared training split; no other text is used instead."""
    local = _local_copy("wikitext2", data_dir)
    if local is None:
        return _from_hub("wikitext2", _hub_copy("wikitext2", data_dir), _LICENCE_OF_WIKITEXT)
    train, val, test = (_decode(_read(path, "wikitext2"), path) for path in local)
    provenance = {"source": "files", "path": str(local[0].parent.resolve()), **_LICENCE_OF_WIKITEXT}
    return Corpus("wikitext2", train, val, test, provenance)


def _wikitext2_test(data_dir: Path | None) -> Corpus:
    """The test split of raw WikiText-2 as a whole text."""
    local = _local_copy("wikitext2_test", data_dir)
    if local is not None:
        (path,) = local
        provenance = {"source": "file", "path": str(path.resolve()), **_LICENCE_OF_WIKITEXT}
        return Corpus("wikitext2_test", _decode(_read(path, "wikitext2_test"), path), provenance=provenance)
    found = _hub_copy("wikitext2_test", data_dir)
    return Corpus("wikitext2_test", found.test or "", provenance={**found.provenance, **_LICENCE_OF_WIKITEXT})


def _enwik8(data_dir: Path | None) -> Corpus:
    """Return the first 10^8 bytes of an English Wikipedia dump, cut at 90 and 95 million bytes as published.

    A cut that would fall inside a character moves to its end (at most 3 bytes).
    """
    local = _local_copy("enwik8", data_dir)
    if local is not None:
        (path,) = local
        content = _read(path, "enwik8")
        provenance: dict[str, Any] = {"source": "file", "path": str(path.resolve())}
    else:
        found = _hub_copy("enwik8", data_dir)
        content, provenance = found.train.encode("utf-8"), found.provenance
    if len(content) != ENWIK8_BYTES:
        raise DataError(f"corpus 'enwik8': {len(content):,} bytes instead of {ENWIK8_BYTES:,}: not the original")
    first, second = (_character_end(content, cut) for cut in ENWIK8_CUTS)
    where = Path(str(provenance.get("path", "enwik8")))
    parts = (content[:first], content[first:second], content[second:])
    train, val, test = (_decode(part, where) for part in parts)
    return Corpus("enwik8", train, val, test, {**provenance, "licence": "CC BY-SA"})


def _character_end(content: bytes, cut: int) -> int:
    """Return the first index from `cut` on at which a UTF-8 character begins."""
    while content[cut] & 0xC0 == 0x80:
        cut += 1
    return cut


def _from_hub(name: str, found: HubText, extra: Mapping[str, str] = MappingProxyType({})) -> Corpus:
    return Corpus(name, found.train, found.val, found.test, {**found.provenance, **extra})
