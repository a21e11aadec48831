"""A campaign of tiny studies, and results that make its gates pass or fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweeps.store.folder import ResultsFolder
from tests.support.sweeps.journals import EPOCH, METRIC, config_id, replicate_events, sweep_event, write_journal

STUDY = """\
format_version: 1
study: {name}
title: Two arms for tests
seeds: 3
base:
  architecture: {{d_model: 16, num_layers: 1, num_heads: 2}}
  task: {{name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}}
  optimizer: {{learning_rate: 3e-3}}
  budget: {{steps: 4, batch_size: 4, report_every: 4, eval_sequences: 8}}
arms:
  transformer: {{role: baseline, architecture: {{name: transformer}}}}
  kuramoto: {{architecture: {{name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}}}}
claims:
  low:
    {{statement: it is below 3, source: a test, kind: threshold, metric: {metric}, arm: transformer, bound: 3.0,
     direction: lower, settled_at: laptop}}
  better:
    {{statement: oscillators are better, source: a test, kind: superiority, metric: {metric}, arm: kuramoto,
     against: transformer, settled_at: gpu}}
scales:
  laptop: {{}}
  gpu: {{}}
"""

CAMPAIGN = """\
format_version: 1
campaign: trip
title: Two studies with a gate between them
phases:
  one:
    title: The first
    studies: [{study: first.yaml}]
    gates: ["first:low", "first:better"]
  two:
    title: The second, with other seeds
    after: [one]
    parallel: true
    studies: [{study: second.yaml, seeds: [5, 6, 7]}, {study: first.yaml}]
    gates: ["second:low"]
  three:
    title: Everything in a folder
    after: [two]
    package: true
  four:
    title: What follows
    after: [two]
    decision:
      - {when: {all: passed}, then: publish}
      - {when: {"first:better": failed}, then: drop the oscillators}
      - {when: {"first:low": failed, "second:better": passed}, then: use the second}
"""


WIGGLES = {"transformer": (0.01, -0.02, 0.01), "kuramoto": (-0.01, 0.0, 0.01)}
"""What seeds add to the scores of an arm; it is not the same for both, so that differences vary."""


def write_campaign(folder: Path, text: str = CAMPAIGN) -> Path:
    """Write the campaign and its two studies; return its path."""
    for name in ("first", "second"):
        (folder / f"{name}.yaml").write_text(STUDY.format(name=name, metric=METRIC), encoding="utf-8")
    path = folder / "trip.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def write_values(
    folder: Path, study: str, transformer: float, kuramoto: float, seeds: Sequence[int] = range(3)
) -> None:
    """Write finished replicates of a study whose arms have about these scores, with its claims declared first."""
    from analysis.claims.claim import Claim
    from sweeps.studies.catalogue import StudyHead

    declared = StudyHead.read(folder / f"{study}.yaml").section("claims")
    claims = [Claim.from_mapping(dict(fields), claim_id=name).to_json() for name, fields in declared.items()]
    means = {"transformer": transformer, "kuramoto": kuramoto}
    events = [sweep_event(list(means), seeds=list(seeds), study=study, scale="laptop", claims=claims)]
    for arm, mean in means.items():
        for place, seed in enumerate(seeds):
            wiggle = WIGGLES[arm][place % 3]
            events += replicate_events(arm, seed, mean + wiggle, start=EPOCH + 10 + place, config=config_id(arm))
    results = ResultsFolder(folder / "results" / study / "laptop")
    for event in events[:1]:
        event["study"] = study
    write_journal(results.journal / "a.jsonl", events)
    marker = f"format_version: 1\nstudy: {study}\nscale: laptop\narms: {{}}\n"
    (results.path / "study.yaml").write_text(marker, encoding="utf-8")
