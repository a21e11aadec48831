"""Refuses to split a batch where the parts would give another result in law under the same config_id."""

from __future__ import annotations

from sweeps.errors import UserError
from sweeps.plan.dependencies import trained_arms
from sweeps.studies.study import Study
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig


def depends_on_split(config: TrialConfig) -> str:
    """Return the part of a configuration whose result depends on how a batch is split; empty if none does."""
    if not config.architecture.splits_in_law:
        return f"architecture '{config.architecture.name}'"
    return "" if config.task.microbatch_invariant else f"task '{config.task.name}'"


def check_batch_splits(study: Study) -> None:
    """Refuse micro-batches and workers for arms whose gradients they would change.

    Raises:
        UserError: For the first such arm.
    """
    resources = study.resources
    for arm in trained_arms(study):
        whole = arm.config.budget.batch_size
        part = resources.micro_batch_of(whole)
        dependent_part = depends_on_split(arm.config) if part < whole else ""
        if dependent_part:
            key, fix = _setting(resources, whole)
            raise UserError(
                f"{study.where('resources', key)}: {key}={getattr(resources, key)} cuts the batch of {whole} of "
                f"arm '{arm.name}' into parts of {part}, and {dependent_part} computes something else from them: "
                f"resources never change a result; {fix}"
            )


def _setting(resources: ResourceConfig, whole: int) -> tuple[str, str]:
    """Return the field of `resources` that splits a batch, and what to do about it."""
    if resources.workers > 1:
        return "workers", "set resources.workers to 1"
    return "micro_batch_size", f"leave it out or set it to at least {whole}"
