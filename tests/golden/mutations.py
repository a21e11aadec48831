"""Studies that are wrong in one place, thousands of them: every value and key of a study, replaced by bad ones."""

from __future__ import annotations

from collections.abc import Iterator

STUDY = """\
format_version: 1
study: tiny
title: Two arms for tests
source: nobody
metric: val/bits_per_char
seeds: 2
base: &base
  architecture: {d_model: 16, num_layers: 1, num_heads: 2, dropout: 0.1}
  task: {name: language, corpus: synthetic, tokenizer: char, context_length: 16, max_bytes: 20000}
  optimizer: {learning_rate: 3e-3, warmup_steps: 3}
  budget: {steps: 20, batch_size: 4, report_every: 10, eval_sequences: 8, precision: float32}
architectures:
  kuramoto: {num_steps: 2}
arms:
  transformer: {role: baseline, architecture: {name: transformer}}
  kuramoto: {note: phases, architecture: {name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}}
grid:
  design: full_factorial
  name: grid
  architecture: {name: kuramoto, phase_layers: [0]}
  fields:
    architecture.coupling: {values: [0, 0.5], label: K}
    architecture.sign: {values: [attractive, repulsive], labels: [a, r]}
  when:
    - {fields: [architecture.sign], only_if: architecture.coupling != 0}
  forbid:
    - {when: architecture.coupling > 3, reason: strong}
  marks:
    - {when: architecture.coupling == 0, role: control, note: off}
contrasts:
  - {arm: kuramoto, against: transformer, meaning: phases}
claims:
  C1:
    statement: Phases help
    source: nobody
    kind: superiority
    metric: val/bits_per_char
    arm: kuramoto
    against: transformer
    settled_at: laptop
resources: {cpus_per_trial: 1, keep_weights: true, report_timeout_seconds: 60}
scales:
  smoke: {note: fast, base: {budget: {steps: 4}}}
  laptop:
    external:
      - {name: theirs, metric: val/bits_per_char, values: [2.0, 2.1], source: them}
    arms:
      kuramoto: {architecture: {num_heads: 2}}
"""

BAD = (
    "",
    "null",
    "no",
    "on",
    "1:30",
    "010",
    "-1",
    "0",
    "0.5",
    "1e30",
    "1e999",
    ".nan",
    ".inf",
    "2026-01-01",
    "2026-13-45",
    "3000000000",
    "10000000000000",
    "9000000000000000000",
    "9" * 5000,
    "!!int abc",
    "!!timestamp x",
    "!!python/object:os.system x",
    '"\\ud800"',
    '"\\0"',
    '""',
    "word",
    "a.b",
    ".",
    '"*"',
    '"{}"',
    "a" * 5000,
    "[]",
    "[[]]",
    "[null, 1]",
    "{}",
    "{a: 1}",
    "{name: {a: 1}}",
    "[{a: 1}]",
    "*base",
    "*nowhere",
    "&x [*x, *x]",
    "{<<: 3}",
    "{<<: *base}",
    "0b_",
    "0x_",
    "true",
    "'quoted",
)


def mutations() -> Iterator[tuple[str, str]]:
    """Yield (what is wrong, the study): every value replaced by every bad one, and every key by some."""
    lines = STUDY.splitlines()
    for index, line in enumerate(lines):
        for start, end in _values(line):
            for bad in BAD:
                wrong = f"{line[:start]} {bad}{line[end:]}"
                yield f"{index + 1}: {wrong.strip()[:100]}", _with(lines, index, wrong)
        for key in _keys(line):
            for bad in ("", "no", "1", "a.b", "<<", "? [a]", '"\\ud800"', f"{key}{key}"):
                wrong = line.replace(f"{key}:", f"{bad}:", 1)
                yield f"{index + 1}: {wrong.strip()[:100]}", _with(lines, index, wrong)
        yield f"{index + 1} left out", _with(lines, index, None)
        yield f"{index + 1} twice", _with(lines, index, f"{line}\n{line}")
        yield f"{index + 1} indented", _with(lines, index, f"  {line}")
        yield f"{index + 1} cut", _with(lines, index, line[: len(line) // 2])


def _with(lines: list[str], index: int, wrong: str | None) -> str:
    return "\n".join([*lines[:index], *([] if wrong is None else [wrong]), *lines[index + 1 :]]) + "\n"


def _values(line: str) -> Iterator[tuple[int, int]]:
    """Yield the places of the values of a line: the whole of it, then those within braces."""
    for start in (at + 1 for at, letter in enumerate(line) if letter == ":" and line[at + 1 :][:1] in {" ", ""}):
        depth, end = 0, start
        while end < len(line) and (depth or line[end] not in ",}"):
            depth += (line[end] in "[{") - (line[end] in "]}")
            end += 1
        yield start, end


def _keys(line: str) -> list[str]:
    words = [part.rpartition(" ")[2].rpartition("{")[2] for part in line.split(":")[:-1]]
    return [word for word in words if word]
