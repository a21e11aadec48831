"""Dependencies between replicates: shared backbones, and arms whose weights others fine-tune."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from analysis.records.replicates import Key
from sweeps.errors import UserError, nearest
from sweeps.studies.study import Arm, Study
from trainables.config.initial_weights import RESUME, ResumeConfig
from trainables.config.trial import TrialConfig
from trainables.training.archives import damage, sha256_of

_CONFIG_ID = re.compile(r"[0-9a-f]{12}")
_NAME_WEIGHTS = "name a weights.pt (see resources.keep_weights)"


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """Weights that a replicate starts with: of another replicate, or in a file."""

    role: str
    config_id: str = ""
    """Of the other replicate; empty for a file."""
    seed: int | None = None
    """Of the other replicate; None: the dependent's own seed."""
    file: Path | None = None
    sha256: str = ""

    @property
    def identity(self) -> str:
        """The part of the dependent's config_id that names it, independent of the seed."""
        if self.file is not None:
            return self.sha256
        return self.config_id if self.seed is None else f"{self.config_id}/seed={self.seed}"

    def key(self, seed: int) -> Key | None:
        """Return the replicate that must have finished before one with `seed` starts; None for a file."""
        if self.file is not None:
            return None
        return (self.config_id, seed if self.seed is None else self.seed)


class Backbone(NamedTuple):
    """How a backbone is trained."""

    arm: Arm
    seed: int


def backbones(study: Study) -> dict[str, Backbone]:
    """Return how each backbone that an arm uses is trained, by `backbone_key`, each once."""
    found: dict[str, Backbone] = {}
    for arm in study.arms:
        config, pretraining = arm.config.backbone, arm.config.pretraining
        if config is None or pretraining is None or (key := backbone_key(arm)) in found:
            continue
        name = f"backbone_{len(found) + 1}" if found else "backbone"
        note = f"trained once, with seed {pretraining.seed}; shared by all arms and seeds that start with it"
        found[key] = Backbone(Arm(name, "prerequisite", note, config, {}), pretraining.seed)
    return found


def trained_arms(study: Study) -> tuple[Arm, ...]:
    """Return everything that is trained: the backbones, then the arms."""
    return (*(backbone.arm for backbone in backbones(study).values()), *study.arms)


def backbone_key(arm: Arm) -> str:
    """Return a key that is equal for arms with the same backbone; empty for arms that need none trained."""
    config, pretraining = arm.config.backbone, arm.config.pretraining
    return "" if config is None or pretraining is None else f"{config.model_dump_json()}/{pretraining.seed}"


def check_sources(study: Study) -> None:
    """Refuse arms that start with weights of no arm, of no configuration, or in no file of weights.

    Raises:
        UserError: If there is such an arm, or if arms start with each other.
    """
    names = [arm.name for arm in study.arms]
    for arm in topological_order(study):
        resume = arm.config.resume_from
        if resume is None:
            continue
        where = _where(study, arm, resume)
        if resume.arm is not None:
            if resume.arm not in names:
                raise UserError(f"{where}: no arm '{resume.arm}'; {nearest(resume.arm, names)}")
        elif resume.config_id is not None:
            if not _CONFIG_ID.fullmatch(resume.config_id):
                raise UserError(
                    f"{where}: a configuration id has 12 hexadecimal digits; `phasesweep plan` lists them"
                )
        else:
            _check_file(_file(study, resume), where)


def _check_file(file: Path, where: str) -> None:
    try:
        exists = file.is_file()
    except OSError:  # such as a name that is too long
        exists = False
    if not exists:
        raise UserError(
            f"{where}: no file {file}; write arm:NAME, id:CONFIG_ID, or the path of a weights.pt (a study with "
            "resources.keep_weights: true leaves one in each replicate's folder)"
        )
    if problem := damage(file):
        raise UserError(f"{where}: {file} cannot be read: {problem}; {_NAME_WEIGHTS}")


def resume_dependency(study: Study, arm: Arm, known: Mapping[str, str], finished: Mapping[Key, bool]) -> Dependency:
    """Return the dependency of an arm with `resume_from`; see `check_sources` for what is known of it.

    Args:
        study: The study.
        arm: The arm.
        known: The config_id of every arm that it may name.
        finished: The replicates with a result in the study's results folder, and whether their weights exist.

    Raises:
        UserError: If the configuration has no weights, or the file holds none.
    """
    from trainables.training.initial_weights import WeightSourceError, check_weights  # imports PyTorch

    resume = arm.config.resume_from
    assert resume is not None
    where = _where(study, arm, resume)
    if resume.arm is not None:
        return Dependency(role=RESUME, config_id=known[resume.arm])
    if resume.config_id is not None:
        _check_results(resume.config_id, study, where, known, finished)
        return Dependency(role=RESUME, config_id=resume.config_id)
    file = _file(study, resume)
    try:
        check_weights(file)
    except WeightSourceError as error:
        raise UserError(f"{where}: {error}; {_NAME_WEIGHTS}") from error
    return Dependency(role=RESUME, file=file, sha256=sha256_of(file))


def _where(study: Study, arm: Arm, resume: ResumeConfig) -> str:
    return f"{study.where('resume_from', 'source', arm=arm.name)}={resume.source} (arm '{arm.name}')"


def _file(study: Study, resume: ResumeConfig) -> Path:
    """Return the file that `resume_from` names; relative to the study's."""
    file = Path(resume.source).expanduser()
    return (file if file.is_absolute() else study.file.parent / file).resolve()


def _check_results(
    config_id: str, study: Study, where: str, known: Mapping[str, str], finished: Mapping[Key, bool]
) -> None:
    if config_id in known.values():
        return
    lacking = [seed for seed in study.seeds if (config_id, seed) not in finished]
    if lacking:
        ids = sorted({key[0] for key in finished})
        raise UserError(
            f"{where}: nothing in this results folder has finished as {config_id} with seed {lacking[0]}; "
            f"{nearest(config_id, ids) if ids else 'nothing has finished there yet'}"
        )
    lost = [seed for seed in study.seeds if not finished[config_id, seed]]
    if lost:
        raise UserError(
            f"{where}: {config_id} has finished with seed {lost[0]}, but kept no weights; run it with "
            "--set resources.keep_weights=true, or name it as an arm (arm:NAME)"
        )


def topological_order(study: Study) -> Iterator[Arm]:
    """Yield the arms so that each comes after the arm whose weights it starts with; those without one come first.

    Raises:
        UserError: If arms depend on each other in a cycle.
    """
    by_name = {arm.name: arm for arm in study.arms}
    done: set[str] = set()
    for first in sorted(study.arms, key=lambda arm: arm.config.resume_from is not None):
        chain: list[str] = []
        name: str | None = first.name
        while name is not None and name in by_name and name not in done:
            if name in chain:
                circle = " -> ".join([*chain[chain.index(name) :], name])
                raise UserError(f"{study.where('resume_from', 'source')}: arms start with each other: {circle}")
            chain.append(name)
            resume = by_name[name].config.resume_from
            name = resume.arm if resume else None
        for each in reversed(chain):
            done.add(each)
            yield by_name[each]


def with_tasks(config: TrialConfig, data_dir: Path | None) -> TrialConfig:
    """Return a configuration whose tasks, the backbone's included, have absolute paths."""
    here = {
        "architecture": config.architecture.with_absolute_paths(),
        "task": config.task.with_absolute_paths(data_dir),
    }
    config = config.model_copy(update=here)
    if config.pretraining is None:
        return config
    task = config.pretraining.task.with_absolute_paths(data_dir)
    return config.model_copy(update={"pretraining": config.pretraining.model_copy(update={"task": task})})


def absolute(study: Study, data_dir: Path | None) -> Study:
    """Return the study with the paths of all tasks absolute: workers run in folders of their own."""
    arms = tuple(replace(arm, config=with_tasks(arm.config, data_dir)) for arm in study.arms)
    return replace(study, arms=arms)
