"""Corpora: where they are looked for, what is checked, and what the user is told when one is missing."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.data import corpora, hub
from trainables.data.corpora import check_corpus, check_corpus_name, load_corpus
from trainables.data.errors import DataError
from trainables.data.markov import MarkovSource
from trainables.tasks.text.config import LanguageConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"


# --- embedded ---


def test_synthetic_is_fixed_by_its_seed() -> None:
    text = MarkovSource(0).text(10_000)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "490fbd4950eedca1"
    assert text.startswith(MarkovSource(0).text(100))
    assert load_corpus("synthetic", data_dir=None, max_bytes=10_000).train == text
    assert load_corpus("synthetic:7", data_dir=None, max_bytes=10_000).train != text


def test_synthetic_says_its_entropy() -> None:
    corpus = load_corpus("synthetic:3", data_dir=None)
    assert corpus.source is not None
    assert corpus.provenance["entropy_bits_per_char"] == corpus.source.entropy_bits_per_char
    assert corpus.source.bits_per_char(corpus.train) == pytest.approx(
        corpus.source.entropy_bits_per_char, abs=4 * 1.3 / len(corpus.train) ** 0.5
    )


def test_entropy_rate_is_that_of_the_stationary_chain() -> None:
    """Power iteration over pairs of letters, instead of the linear system, gives the same rate."""
    source = MarkovSource(5)
    pairs = source.stationary_PC * 0 + 1 / 64
    for _ in range(2000):
        pairs = (pairs[:, :, None] * source.transition_PCV).sum(axis=0)
    assert pairs == pytest.approx(source.stationary_PC, abs=1e-12)
    assert source.transition_PCV.sum(axis=-1) == pytest.approx(1.0)
    assert 1.0 < source.entropy_bits_per_char < 2.0


def test_standard_library_is_bounded_and_repeatable() -> None:
    one, other = (load_corpus("stdlib", data_dir=None, max_bytes=50_000) for _ in range(2))
    assert one.train == other.train
    assert 49_990 < len(one.train.encode()) <= 50_000
    assert "import" in one.train
    assert one.provenance["python"]


def test_synthetic_needs_three_characters() -> None:
    with pytest.raises(DataError, match="at least 3"):
        load_corpus("synthetic", data_dir=None, max_bytes=2)


# --- files ---


def test_file_keeps_every_character(tmp_path: Path) -> None:
    content = "no newline is lost\r\n\n\nnor added: é"
    (tmp_path / "text.txt").write_bytes(content.encode())
    corpus = load_corpus("file:text.txt", data_dir=tmp_path)
    assert corpus.train == content
    assert corpus.sha256 == hashlib.sha256(content.encode()).hexdigest()
    assert corpus.provenance == {"source": "file", "path": str(tmp_path / "text.txt")}
    assert load_corpus(f"file:{tmp_path}/text.txt", data_dir=None).train == content


def test_max_bytes_never_cuts_a_character(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("€" * 10, encoding="utf-8")
    assert load_corpus("file:text.txt", data_dir=tmp_path, max_bytes=10).train == "€" * 3


def test_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        load_corpus("file:nope.txt", data_dir=tmp_path / "data")
    message = str(caught.value)
    assert str(tmp_path / "data" / "nope.txt") in message
    assert str(tmp_path / "nope.txt") in message
    assert "PHASESWEEP_DATA" in message


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(b"abc\xff\xfe")
    with pytest.raises(DataError, match=r"image.bin is not UTF-8 text \(byte 3\)"):
        load_corpus("file:image.bin", data_dir=tmp_path)


# --- the catalogue ---


def test_tiny_shakespeare_is_checked(tmp_path: Path) -> None:
    (tmp_path / "tinyshakespeare.txt").write_text("To be, or not to be")
    with pytest.raises(DataError, match="another text: SHA-256"):
        load_corpus("tiny_shakespeare", data_dir=tmp_path)


def test_wikitext_takes_declared_splits(tmp_path: Path) -> None:
    (tmp_path / "wikitext2").mkdir()
    for name in ("train", "valid", "test"):
        (tmp_path / "wikitext2" / f"{name}.txt").write_text(f"\n = {name} = \n")
    corpus = load_corpus("wikitext2", data_dir=tmp_path)
    assert (corpus.train, corpus.val, corpus.test) == ("\n = train = \n", "\n = valid = \n", "\n = test = \n")
    assert corpus.provenance["path"] == str(tmp_path / "wikitext2")


def test_the_test_split_of_wikitext_stands_alone(tmp_path: Path, no_hub: None) -> None:
    (tmp_path / "wikitext2").mkdir()
    (tmp_path / "wikitext2" / "test.txt").write_text("\n = test = \n")
    corpus = load_corpus("wikitext2_test", data_dir=tmp_path)
    assert (corpus.train, corpus.val, corpus.test) == ("\n = test = \n", None, None)
    assert corpus.provenance["path"] == str(tmp_path / "wikitext2" / "test.txt")
    with pytest.raises(DataError, match=r"corpus 'wikitext2_test' .*wikitext2/test\.txt"):
        load_corpus("wikitext2_test", data_dir=tmp_path / "elsewhere")


def test_wikitext_without_training_text_is_not_replaced(tmp_path: Path, no_hub: None) -> None:
    (tmp_path / "wikitext2").mkdir()
    for name in ("valid", "test"):
        (tmp_path / "wikitext2" / f"{name}.txt").write_text("text")
    with pytest.raises(DataError) as caught:
        load_corpus("wikitext2", data_dir=tmp_path)
    assert str(tmp_path / "wikitext2" / "train.txt") in str(caught.value)
    assert "valid.txt" not in str(caught.value)


def test_enwik8_is_cut_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "ENWIK8_BYTES", 1000)
    monkeypatch.setattr(corpora, "ENWIK8_CUTS", (899, 950))
    content = b"a" * 898 + "é".encode() + b"b" * 100  # the first cut falls inside the accent
    (tmp_path / "enwik8").write_bytes(content)
    corpus = load_corpus("enwik8", data_dir=tmp_path)
    assert corpus.train == "a" * 898 + "é"
    assert (corpus.val, corpus.test) == ("b" * 50, "b" * 50)
    (tmp_path / "enwik8").write_bytes(content[:-1])
    with pytest.raises(DataError, match="999 bytes"):
        load_corpus("enwik8", data_dir=tmp_path)


@pytest.mark.parametrize("spec", ["wikitext", "hub:", "files:x", "Synthetic:1", ""])
def test_unknown_names_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="unknown corpus"):
        check_corpus_name(spec)


# --- parquet repositories, local and on the hub ---


def write_split(folder: Path, split: str, rows: list[str | None], column: str = "text") -> None:
    (folder / split).mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": list(range(len(rows))), column: rows})
    pq.write_table(table, folder / split / "0000.parquet")


def write_repository(folder: Path, configuration: str = "default", column: str = "text") -> Path:
    """Write what the hub keeps on its parquet branch: CONFIGURATION/SPLIT/0000.parquet."""
    base = folder / configuration
    write_split(base, "train", [f"{configuration} line {n}" for n in range(300)], column)
    write_split(base, "validation", ["first\n", "", "third\n"], column)
    write_split(base, "test", ["one document\nof two lines, without an end"], column)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's cache out of the tests."""
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets_cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))


def test_local_parquet_repository(tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "repository")
    corpus = load_corpus(f"hub:{repository}", data_dir=None)
    assert corpus.train == "".join(f"default line {n}\n" for n in range(300))
    assert corpus.val == "first\n\nthird\n"
    assert corpus.test == "one document\nof two lines, without an end"
    assert corpus.provenance == {
        "source": "parquet folder",
        "path": str(repository),
        "configuration": "default",
        "column": "text",
    }
    task = LanguageConfig(corpus=f"hub:{repository}", context_length=8).build(None)
    assert task.texts["val"] == "first\n\nthird\n"
    assert task.splits == ("val", "test")


def test_flat_folder_of_parquet_files(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pq.write_table(pa.table({"content": [f"{split} text"]}), tmp_path / f"{split}-00000-of-00001.parquet")
    corpus = load_corpus(f"hub:{tmp_path}", data_dir=None)
    assert (corpus.train, corpus.val, corpus.test) == ("train text", None, "test text")
    assert corpus.provenance["column"] == "content"


def test_configurations_are_chosen_by_name(tmp_path: Path) -> None:
    write_repository(write_repository(tmp_path / "repository", "raw"), "clean")
    spec = f"hub:{tmp_path}/repository"
    assert load_corpus(f"{spec}:raw", data_dir=None).train.startswith("raw line 0\n")
    with pytest.raises(DataError, match="several configurations; add one of :clean, :raw"):
        load_corpus(spec, data_dir=None)
    with pytest.raises(DataError, match="no configuration 'row'; known: clean, raw"):
        load_corpus(f"{spec}:row", data_dir=None)


def test_bad_repositories_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        load_corpus(f"hub:{tmp_path}/nowhere", data_dir=None)
    with pytest.raises(DataError, match="no parquet files"):
        load_corpus(f"hub:{tmp_path}", data_dir=None)
    torn = write_repository(tmp_path / "torn")
    (torn / "default" / "train" / "0000.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match="cannot read") as caught:
        load_corpus(f"hub:{torn}", data_dir=None)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__
    two = tmp_path / "two"
    two.mkdir()
    pq.write_table(pa.table({"question": ["?"], "answer": ["!"]}), two / "train.parquet")
    with pytest.raises(DataError, match=r"needs a column 'text'.*has question, answer"):
        load_corpus(f"hub:{two}", data_dir=None)
    write_split(tmp_path / "gap", "train", ["text", None])
    with pytest.raises(DataError, match="split 'train': a row has no text"):
        load_corpus(f"hub:{tmp_path}/gap", data_dir=None)
    write_split(tmp_path / "held_out", "test", ["text"])
    with pytest.raises(DataError, match="no training split, only test"):
        load_corpus(f"hub:{tmp_path}/held_out", data_dir=None)


class HubHandler(BaseHTTPRequestHandler):
    """The part of the hub's interface that fetching a parquet branch needs."""

    root: ClassVar[Path]
    requests: ClassVar[list[str]]

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""

    def answer(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.requests.append(path)
        files = {p.relative_to(self.root).as_posix(): p.read_bytes() for p in self.root.rglob("*.parquet")}
        api, resolve = "/api/datasets/someone/text", f"/datasets/someone/text/resolve/{COMMIT}/"
        if path == f"{api}/revision/refs%2Fconvert%2Fparquet":
            siblings = [{"rfilename": name} for name in files]
            reply: Any = {"id": "someone/text", "sha": COMMIT, "siblings": siblings}
        elif path == f"{api}/tree/{COMMIT}":
            reply = [{"type": "file", "path": n, "size": len(c), "oid": "0" * 40} for n, c in files.items()]
        elif path.startswith(resolve) and path.removeprefix(resolve) in files:
            content = files[path.removeprefix(resolve)]
            tag = hashlib.sha256(content).hexdigest()
            self.answer(content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
            return
        else:
            self.send_error(404)
            return
        self.answer(json.dumps(reply).encode(), {"Content-Type": "application/json"})

    do_HEAD = do_GET


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """Serve a repository `someone/text` as the hub does."""
    from huggingface_hub import constants

    HubHandler.root = write_repository(write_repository(tmp_path / "served"), "large")
    HubHandler.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the hub at a port that refuses connections."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_hub_resolves_the_parquet_branch(fake_hub: ThreadingHTTPServer) -> None:
    corpus = load_corpus("hub:someone/text", data_dir=None)
    assert corpus.train.startswith("default line 0\ndefault line 1\n")
    assert corpus.provenance == {
        "source": "hub",
        "repository": "someone/text",
        "branch": "refs/convert/parquet",
        "revision": COMMIT,
        "configuration": "default",
        "column": "text",
    }
    assert not any("/large/" in path for path in HubHandler.requests)  # other configurations stay there


def test_hub_copy_in_the_cache_serves_without_network(
    fake_hub: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    online = load_corpus("hub:someone/text", data_dir=None)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    offline = load_corpus("hub:someone/text", data_dir=None)
    assert offline == online


def test_a_check_fetches_what_the_cache_lacks_and_then_asks_nobody(fake_hub: ThreadingHTTPServer) -> None:
    check_corpus("hub:someone/text", None)
    asked = list(HubHandler.requests)
    check_corpus("hub:someone/text", None)
    assert asked
    assert HubHandler.requests == asked


def test_a_check_finds_what_is_there_and_reads_nothing(tmp_path: Path) -> None:
    write_repository(tmp_path / "repository", "raw")
    (tmp_path / "enwik8").write_text("far too short", encoding="utf-8")
    for spec in ("synthetic:3", "stdlib", "enwik8", f"hub:{tmp_path}/repository:raw"):
        check_corpus(spec, tmp_path)
    for spec, message in (
        ("file:nowhere.txt", "no such file"),
        ("hub:./nowhere", "no folder"),
        (f"hub:{tmp_path}/repository:row", "no configuration 'row'; known: raw"),
    ):
        with pytest.raises(DataError, match=message):
            check_corpus(spec, tmp_path)


def test_hub_names_what_it_does_not_have(fake_hub: ThreadingHTTPServer) -> None:
    with pytest.raises(DataError, match="no configuration 'small'; known: default, large"):
        load_corpus("hub:someone/text:small", data_dir=None)
    with pytest.raises(DataError, match="check the name 'someone/texts'"):
        load_corpus("hub:someone/texts", data_dir=None)
    with pytest.raises(DataError, match="check the name 'not a repository'"):
        load_corpus("hub:not a repository", data_dir=None)


@pytest.mark.parametrize("spec", ["tiny_shakespeare", "wikitext2", "enwik8", "hub:someone/text"])
def test_no_network_is_one_message_within_seconds(tmp_path: Path, no_hub: None, spec: str) -> None:
    with pytest.raises(DataError) as checked:
        check_corpus(spec, tmp_path)
    began = time.monotonic()
    with pytest.raises(DataError) as caught:
        load_corpus(spec, data_dir=tmp_path)
    assert time.monotonic() - began < 5
    assert str(checked.value) == str(caught.value)
    message = str(caught.value)
    assert message.startswith(f"corpus '{spec}' was not found. Looked for it in ")
    assert "HF_HOME" in message and "\n" not in message
    assert str(tmp_path) in message or spec.startswith("hub:")
    assert caught.value.__suppress_context__


def test_hub_that_never_answers_is_given_up(fake_hub: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "REQUEST_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(HubHandler, "do_GET", lambda self: time.sleep(0.6))
    began = time.monotonic()
    with pytest.raises(DataError, match="Timeout"):
        load_corpus("hub:someone/text", data_dir=None)
    assert time.monotonic() - began < 5
