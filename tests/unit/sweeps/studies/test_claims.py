"""The claims of studies: found, checked against the study, carried by the journal, listed by the verbs."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

import search_spaces as spaces
from analysis.records.description import JournalError, SweepInfo
from analysis.records.journal import merge
from cluster.inventory import local_inventory
from search_spaces.catalogue import SPACES
from search_spaces.space import SearchSpace
from sweeps.cli import library as library_views
from sweeps.cli import plan as plan_text
from sweeps.cli.schemas.generate import load_schema
from sweeps.console import Output
from sweeps.errors import UserError
from sweeps.fields import SCALES
from sweeps.plan.builder import build_plan
from sweeps.plan.checks import check_metrics
from sweeps.plan.plan import Plan
from sweeps.studies.resolve import load_study
from tests.support.models.sizes import unmeasured
from tests.support.sweeps.journals import METRIC, declared_metrics
from tests.support.sweeps.studies import STUDY

CLAIM = {
    "statement": "coupling helps",
    "source": "a paper",
    "kind": "superiority",
    "metric": METRIC,
    "arm": "kuramoto",
    "against": "transformer",
    "settled_at": "laptop",
}

OTHER = "  other: {architecture: {name: kuramoto, phase_layers: [0], num_oscillators: 8}}\n"


def write(folder: Path, **changes: Any) -> str:
    """Write the study `tiny` with one claim, changed; None drops a key."""
    fields = {key: value for key, value in {**CLAIM, **changes}.items() if value is not None}
    lines = [f"    {key}: {json.dumps(value)}" for key, value in fields.items()]
    text = STUDY.format(seeds=2, steps=20, report_every=10).replace("scales:", f"{OTHER}scales:")
    text += "\n".join(["claims:", "  C1:", *lines, ""])
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def plan_of(name: str, scale: str = "smoke") -> Plan:
    return build_plan(load_study(name, scale), local_inventory(), None)


@pytest.fixture(scope="module")
def phase_b() -> Plan:
    with unmeasured():
        return plan_of("kuramoto_phase_b")


def test_a_claim_is_read_with_its_arms(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, against="transf*"), "laptop")
    (claim,) = study.claims
    assert (claim.id, claim.arm, claim.against) == ("C1", "kuramoto", ("transformer",))
    assert study.resolved()["claims"][0]["statement"] == "coupling helps"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"against": "K*"}, r"claim 'C1': against: no arm 'K\*'"),
        (
            {"fidelity": "as_published"},
            r"fidelity: arm 'kuramoto' is corrected, but the claim is about as_published",
        ),
        (
            {"kind": "trend", "arm": None, "against": None, "arms": ["*"], "over": "architecture.name"}
            | {"direction": "lower"},
            r"over: 'architecture\.name' is no number in every arm",
        ),
        (
            {"kind": "response_curve", "arm": None, "against": None, "arms": ["*"], "over": "architecture.d_modle"},
            r"over: arm 'transformer' has no field 'architecture\.d_modle'; did you mean 'architecture\.d_model'\?",
        ),
        (
            {"kind": "response_curve", "arm": None, "against": None, "arms": ["*"], "over": "architecture.d_model"},
            r"over: 'architecture\.d_model' is 16 in every arm of the claim",
        ),
    ],
)
def test_mistakes_in_a_claim_have_their_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        load_study(write(tmp_path, **changes), "laptop")
    assert re.search(message, str(error.value)), error.value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"metric": "val/bits_per_chr"},
            r"tiny\.yaml:22: claim 'C1': metric: unknown metric .*'val/bits_per_char'",
        ),
        ({"metric": f"{METRIC} - probe/x"}, r"metric: unknown metric 'probe/x'"),
        ({"metric": "probe/leak"}, r"direction: missing; 'probe/leak' has no better side"),
        ({"metric": f"{METRIC} - {METRIC}"}, r"direction: missing"),
    ],
)
def test_what_a_claim_measures_is_checked(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    of_task = {metric["name"]: metric["direction"] for metric in declared_metrics()}
    check_metrics(load_study(write(tmp_path, metric="probe/leak", direction="lower"), "laptop"), of_task)
    study = load_study(write(tmp_path, **changes), "laptop")
    for known in (of_task, dict.fromkeys(of_task)):  # with the task's data, and before they are loaded
        with pytest.raises(UserError) as error:
            check_metrics(study, known)
        assert re.search(message, str(error.value)), error.value


def test_a_better_side_that_only_the_task_knows_is_not_asked_for_before_it_is_loaded(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, metric=METRIC), "laptop")
    check_metrics(study, {METRIC: None})
    with pytest.raises(UserError, match="direction: missing"):
        check_metrics(study, {METRIC: "none"})


def test_the_plan_checks_what_claims_measure(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="claim 'C1': metric: unknown metric 'probe/x'"):
        plan_of(write(tmp_path, metric="probe/x"), "laptop")


def test_the_journal_carries_claims_and_old_ones_read_without(phase_b: Plan) -> None:
    event = json.loads(json.dumps({"time": 1.0, "sweep_id": "s", "event": "sweep", **asdict(phase_b.sweep)}))
    read = SweepInfo.from_event(event)
    assert read.claims == phase_b.sweep.claims
    assert [claim.id for claim in read.claims] == ["K6", "K7", "K8a", "K8b", "K9"]
    assert "diverse" in read.claims[0].arms and "K0p75_noise_jitter" in read.claims[0].arms
    del event["claims"]
    assert SweepInfo.from_event(event) == replace(read, claims=())
    with pytest.raises(JournalError, match="another version of phasesweep described it"):
        SweepInfo.from_event({**event, "claims": [{"id": "K1", "kind": "prophecy"}]})


def test_a_plan_says_what_it_costs_and_what_it_can_settle(phase_b: Plan) -> None:
    described = phase_b.to_json()
    jsonschema.validate({**described, "search": None}, load_schema("plan"))
    assert described["grid"] == {"num_points": 8, "num_repeats": 0, "num_forbidden": 0, "num_arms": 8}
    assert [claim["id"] for claim in described["claims"]] == ["K6", "K7", "K8a", "K8b", "K9"]
    cores = described["forecast_core_seconds"] / described["forecast_seconds"]
    assert cores == pytest.approx(described["concurrency"], rel=0.1)
    text = plan_text.budget(phase_b, _empty(), local_inventory())
    assert "grid: 8 points, all different: 8 arms, each with name=kuramoto, coupling=0.75" in text
    assert "14 arms (13 distinct configurations) x 2 seeds = 26 replicates" in text
    assert re.search(r"[\d,]+ core-seconds, [\d,]+ a replicate", text)
    assert "violate causality by design: 2 arms (K0p75_as_published, diverse_as_published)" in text
    assert plan_text.claims_table(phase_b).row_count == 5
    assert plan_text.arms_table(phase_b).row_count == 14


def test_controls_as_published_are_one_configuration_with_none(phase_b: Plan) -> None:
    """The published controls do nothing: with and without them is the same computation, run once."""
    by_name = {planned.arm.name: planned for planned in phase_b.arms}
    assert by_name["diverse_as_published"].config_id == by_name["K0p75_as_published"].config_id
    assert by_name["diverse"].config_id != by_name["K0p75"].config_id
    strengths = by_name["diverse_as_published"].config.architecture.model_dump()
    assert (strengths["phase_noise"], strengths["frequency_jitter"], strengths["coherence_weight"]) == (
        0.03,
        0.02,
        0.1,
    )
    assert len({planned.config_id for planned in phase_b.arms}) == len(phase_b.arms) - 1


def _empty() -> Any:
    return merge([])


@pytest.mark.parametrize(("name", "scale"), [*((None, scale) for scale in SCALES), ("kuramoto_phase_b", "gpu")])
def test_the_listing_of_claims_is_what_its_schema_says(name: str | None, scale: str) -> None:
    shown: list[Any] = []
    library_views.claims(Output(Console(file=StringIO()), shown.append), name, scale)
    (listed,) = shown
    jsonschema.validate(listed, load_schema("claims"))
    if name is None:
        ids = {(claim["study"], claim["id"]) for claim in listed}
        assert {("kuramoto_phase_a", f"K{i}") for i in (1, "2a", "2b", 3, 4, "5a", "5b")} <= ids
        assert {("kuramoto_phase_b", i) for i in ("K6", "K7", "K8a", "K8b")} <= ids
        assert {("kuramoto_corrected", i) for i in ("K1", "K2", "K6", "K7")} <= ids


def test_claims_in_words() -> None:
    console = Console(file=StringIO(), width=400)
    library_views.claims(Output(console), "kuramoto_phase_b", "laptop")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "noise, jitter and regulariser cost at most 5 % of perplexity" in text
    assert "non inferiority: `arm` is worse than `against`, and than each control, by less than `margin`" in text
    library_views.claims(Output(console), "quickstart", "laptop")
    assert "study 'quickstart' declares no claims" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [None, *SPACES])
def test_the_listing_of_spaces_is_what_its_schema_says(name: str | None) -> None:
    shown: list[Any] = []
    library_views.spaces(Output(Console(file=StringIO()), shown.append), name)
    (listed,) = shown
    jsonschema.validate(listed, load_schema("spaces"))
    assert [space["name"] for space in listed] == ([name] if name else list(SPACES))
    for space in listed:
        assert [dimension["name"] for dimension in space["dimensions"]] == list(SPACES[space["name"]])


def test_no_space_of_the_package_is_left_out() -> None:
    names = [found.name for found in pkgutil.iter_modules(spaces.__path__)]
    modules = [importlib.import_module(f"search_spaces.{name}") for name in names]
    declared = [value for module in modules for value in vars(module).values() if isinstance(value, SearchSpace)]
    assert {id(space) for space in declared} == {id(space) for space in SPACES.values()}


def test_spaces_in_words() -> None:
    console = Console(file=StringIO(), width=400)
    library_views.spaces(Output(console), "kuramoto.search")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"dt +\[0\.01, 1\], logarithmic +model time +Length of an Euler step\. +PhaseGPT", text)
    assert "sign: only if coupling != 0 or learn_coupling\n" in text
    with pytest.raises(
        UserError, match=r"unknown search space 'kuramoto.serach'; did you mean 'kuramoto.search'\?"
    ):
        library_views.spaces(Output(console), "kuramoto.serach")
