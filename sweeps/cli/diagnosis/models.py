"""`diagnose STUDY[:ARM]`: a replicate's trained model, or an arm's as it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sweeps.cli.diagnosis.files import check_format, made_folder, write_system_csv
from sweeps.console import Output, format_mib, proposed, text_table
from sweeps.errors import UserError, nearest, writing
from sweeps.plan.checks import data_dir_from_environment
from sweeps.store.folder import ResultsFolder, results_root
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Arm, Study
from trainables.config.trial import TrialConfig
from trainables.data.errors import DataError
from trainables.units import MIB

if TYPE_CHECKING:
    from trainables.batch import Batch
    from trainables.inspection.attention import AttentionMap
    from trainables.inspection.cost import LengthCost
    from trainables.inspection.loss_by_position import PositionLoss
    from trainables.inspection.open_model import OpenedModel

SHORTEST_STREAM = 1024
"""The first length at which cost is measured; each further one is twice as long."""


@dataclass(frozen=True)
class Measuring:
    """How much of a model is measured."""

    seed: int
    length: int | None
    """Tokens of a sequence whose loss is measured; None: as in training."""
    num_sequences: int
    stream_to: int
    """Tokens of the longest sequence that is read in chunks."""
    max_seconds: float
    """For reading in chunks."""


@dataclass(frozen=True)
class Chosen:
    """The model to measure."""

    study: Study
    arm: Arm
    config: TrialConfig
    weights: Path | None
    """None: as the arm starts."""


def diagnose_model(
    output: Output, study: StudyArguments, arm: str | None, how: Measuring, *, to: Path | None, figures: str
) -> None:
    """Print the loss by position, the attention and the cost by length of a model."""
    check_format(figures)
    chosen = _choose(study, arm, how.seed)
    if to is not None:
        made_folder(to)
    data_dir = data_dir_from_environment()
    try:
        _check_files(chosen.config, how.length, data_dir)
        from trainables.inspection import open_model  # imports PyTorch

        opened = open_model.open_model(
            chosen.config, how.seed, weights=chosen.weights, length=how.length, data_dir=data_dir
        )
        found = _measure(chosen, opened, how)
    except (DataError, ValueError) as error:
        raise UserError(f"diagnose {chosen.study.name}:{chosen.arm.name}: {error}") from error
    output.show(found.to_json(), lambda out: _print(out, found))
    if to is not None:
        with writing(f"--to {to}"):
            written = list(_write(found, to, figures))
        output.say(f"wrote {', '.join(str(path) for path in written)}")


def _check_files(config: TrialConfig, length: int | None, data_dir: Path | None) -> None:
    (config.task if length is None else config.task.of_length(length)).check_files(data_dir)
    config.architecture.check_files()


def _choose(arguments: StudyArguments, arm_name: str | None, seed: int) -> Chosen:
    study = load_study(*arguments)
    arms = {arm.name: arm for arm in study.arms}
    if arm_name is not None and arm_name not in arms:
        raise UserError(f"diagnose {arguments.name}:{arm_name}: no arm '{arm_name}'; {nearest(arm_name, arms)}")
    arm = study.baseline if arm_name is None else arms[arm_name]
    folder = ResultsFolder.find(results_root(), study.name, study.scale, study.overrides)
    sweep = folder.state().sweep
    for unit in sweep.arms if sweep is not None else ():
        weights = folder.replicate(unit.config_id, seed) / "weights.pt"
        if unit.arm == arm.name and weights.is_file():
            trained = TrialConfig.model_validate(folder.configuration(unit.config_id))
            return Chosen(study, arm, trained, weights)
    return Chosen(study, arm, arm.config, None)


@dataclass(frozen=True)
class ModelDiagnosis:
    """What was measured of a model."""

    chosen: Chosen
    how: Measuring
    device: str
    sequence_length: int
    loss: PositionLoss
    attention: list[AttentionMap]
    cost: list[LengthCost]
    cost_ends: str
    """Why no longer sequence was read; empty if all were."""
    window: int | None
    """Tokens that attention sees; None: all of them."""

    @property
    def title(self) -> str:
        """Which model this is."""
        state = "trained" if self.chosen.weights is not None else "untrained"
        return f"{self.chosen.study.name}@{self.chosen.study.scale}:{self.chosen.arm.name}, {state}"

    def to_json(self) -> dict[str, Any]:
        """Return what `diagnose --json` prints."""
        return {
            "encodings": [],
            "model": {
                "study": self.chosen.study.name,
                "scale": self.chosen.study.scale,
                "arm": self.chosen.arm.name,
                "seed": self.how.seed,
                "is_trained": self.chosen.weights is not None,
                "device": self.device,
                "sequence_length": self.sequence_length,
                "window": self.window,
                "loss": self.loss,
                "attention": self.attention,
                "cost": self.cost,
                "cost_ends": self.cost_ends,
            },
        }


def _measure(chosen: Chosen, opened: OpenedModel, how: Measuring) -> ModelDiagnosis:
    from trainables.inspection.attention import attention_maps
    from trainables.inspection.loss_by_position import loss_by_position

    batch = opened.task.held_out(how.num_sequences).to(opened.device)
    cost, cost_ends = _cost(opened, batch, how)
    return ModelDiagnosis(
        chosen=chosen,
        how=how,
        device=opened.device.type,
        sequence_length=batch.inputs_BT.shape[1],
        loss=loss_by_position(opened.model, batch, opened.trained_length),
        attention=attention_maps(opened.model, batch.inputs_BT[:1]),
        cost=cost,
        cost_ends=cost_ends,
        window=getattr(chosen.config.architecture, "attention_window", None),
    )


def _cost(opened: OpenedModel, batch: Batch, how: Measuring) -> tuple[list[LengthCost], str]:
    """Return the cost of each length that the model can read in time, and why it reads no longer one."""
    from trainables.inspection.cost import cost_by_length

    doubled = (SHORTEST_STREAM << doubling for doubling in range(64))
    lengths = [length for length in doubled if length <= how.stream_to]
    found: list[LengthCost] = []
    reading = cost_by_length(opened.model, batch.inputs_BT.flatten(), lengths, max_seconds=how.max_seconds)
    try:
        found.extend(reading)  # what was yielded before an error stays
    except ValueError as error:
        return found, str(error)
    if len(found) < len(lengths):
        return found, f"the next length would take more than {how.max_seconds:g} s in all; raise --max-seconds"
    return found, ""


def _print(out: Console, found: ModelDiagnosis) -> None:
    out.print(found.title, style="bold", markup=False)
    if found.chosen.weights is None:
        name, scale = found.chosen.study.name, found.chosen.study.scale
        keep = proposed("run", name, "--scale", scale, "--set", "resources.keep_weights=true")
        out.print(f"no weights of seed {found.how.seed} were kept, so this is the model as it starts; {keep}")
    for line in (*_loss_lines(found), *_attention_lines(found.attention)):
        out.print(line, markup=False)
    _print_cost(out, found)


def _loss_lines(found: ModelDiagnosis) -> Iterator[str]:
    loss = found.loss
    yield (
        f"loss: {loss.num_sequences} sequences of {found.sequence_length:,} tokens, {len(loss.nats):,} scored "
        f"positions, {sum(loss.nats) / len(loss.nats):.4f} nats a token"
    )
    if loss.slope is None or loss.slope_error is None:
        yield f"  too few positions from {loss.measured_from:,} on for a trend"
        return
    yield (
        f"  from position {loss.measured_from:,} on: {loss.slope:+.4f} ± {loss.slope_error:.4f} (standard error) "
        "nats per 1,000 tokens"
    )
    if loss.period is not None:
        yield (
            f"  strongest period {loss.period:.1f} tokens, {loss.period_share:.1%} of what the trend leaves; white "
            f"noise has {loss.period_share_of_noise:.1%} on average"
        )


def _attention_lines(maps: Sequence[AttentionMap]) -> Iterator[str]:
    if not maps:
        yield "attention: no layer computes softmax attention over the whole sequence"
    for each in maps:
        yield (
            f"attention of layer {each.layer}: {each.distance:.1f} tokens back on average; looking at all alike "
            f"{each.distance_of_uniform:.1f}"
        )


def _print_cost(out: Console, found: ModelDiagnosis) -> None:
    table = text_table("tokens read", "tokens/s", "peak memory", "carried state", right=range(4))
    for each in found.cost:
        memory, state = format_mib(each.peak_memory_mib), format_mib(each.state_bytes / MIB)
        table.add_row(f"{each.length:,}", f"{each.tokens_per_second:,.0f}", memory, state)
    if found.cost:
        out.print(table)
    if found.cost_ends:
        out.print(f"read no further: {found.cost_ends}", markup=False)


def _write(found: ModelDiagnosis, to: Path, suffix: str) -> Iterator[Path]:
    from analysis.report import inspection as drawn

    loss, cost = found.loss, found.cost
    path = to / f"loss_by_position.{suffix}"
    start = loss.measured_from
    yield from drawn.loss_by_position(loss.positions, loss.nats, path, measured_from=start, title=found.title)
    if found.attention:
        maps = [each.weights_TS for each in found.attention]
        path = to / f"attention.{suffix}"
        yield from drawn.attention_maps(maps, path, length=found.sequence_length, title=found.title)
    if cost:
        yield from drawn.cost_by_length(
            [each.length for each in cost],
            tokens_per_second=[each.tokens_per_second for each in cost],
            peak_memory_mib=[each.peak_memory_mib for each in cost],
            state_mib=[each.state_bytes / MIB for each in cost],
            path=to / f"cost.{suffix}",
            title=found.title,
        )
        rows = [
            (found.chosen.config.budget.steps if found.chosen.weights else 0, each.length, each.peak_memory_mib,
             each.tokens_per_second, found.window, each.state_bytes)
            for each in cost
        ]  # fmt: skip
        yield write_system_csv(to / "system.csv", rows)
