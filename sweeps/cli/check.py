"""The verb `check`: the contract suite on everything that a plugin registers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sweeps.console import Output, proposed
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, UserError, nearest
from sweeps.plan.checks import data_dir_from_environment
from sweeps.studies.plugins import load_plugin
from trainables.data.errors import DataError
from trainables.plugins.files import last_line_in, registered_by
from trainables.plugins.packages import installed, load_distribution
from trainables.plugins.rules import PluginError
from trainables.registry import ARCHITECTURES, Plugin, Registry
from trainables.schema import NamedConfig

if TYPE_CHECKING:
    from trainables.contract.finding import Finding, Outcome

_OUTCOME_LABELS: dict[Outcome, str] = {
    "passed": "passed",
    "failed": "FAILED",
    "expected_violation": "expected violation",
    "not_declared": "not declared",
}

_NOT_DECLARED = {
    "reference": "no mixer has a `reference` to compare with",
    "stream": "the model has no state from which to continue a sequence",
}


def check(output: Output, target: str, names: Sequence[str]) -> int:
    """Check a plugin; return the exit code: 0 if every contract is met, 1 if one is not.

    Args:
        output: Where to print; a line for each contract, as soon as it is checked.
        target: A plugin file, or the name of an installed package.
        names: Check only these of the registered names; empty: all.

    Raises:
        UserError: If the plugin cannot be loaded, or has no such name.
    """
    plugins = _load(target)
    chosen = _chosen(plugins, names, target)
    rows = [row for plugin, registry, name in chosen for row in _rows(output, plugin, registry, name)]
    counts = Counter(row["outcome"] for row in rows)
    if output.emit:
        every = {outcome: counts[outcome] for outcome in _OUTCOME_LABELS}
        output.emit({"plugins": [plugin.describe() for plugin in plugins], "checks": rows, "counts": every})
    summary = ", ".join(f"{counts[outcome]} {word}" for outcome, word in _OUTCOME_LABELS.items() if counts[outcome])
    output.say(f"\n{', '.join(map(str, plugins))}: {summary}")
    if not counts["failed"]:
        output.say(f"every contract is met; next: {proposed('plan', 'STUDY')}")
    return EXIT_FAILURES if counts["failed"] else EXIT_DONE


def _load(target: str) -> list[Plugin]:
    """Load a plugin file, or an installed package."""
    path = Path(target)
    if target not in installed() or path.exists():
        if path.suffix != ".py" and not path.exists():
            raise UserError(f"'{target}' is no file, and no installed package: {_known_packages(target)}")
        return [load_plugin(path, "check")]
    try:
        return load_distribution(target)
    except PluginError as error:
        raise UserError(f"check: {error}") from error


def _known_packages(target: str) -> str:
    return nearest(target, installed()) if installed() else "none has plugins"


def _chosen(plugins: list[Plugin], names: Sequence[str], target: str) -> list[tuple[Plugin, Registry[Any], str]]:
    """Return (plugin, registry, name) of everything to check.

    Raises:
        UserError: If `names` has one that is not registered.
    """
    found = [(plugin, registry, name) for plugin in plugins for registry, name in registered_by(plugin)]
    known = [name for _, _, name in found]
    for name in names:
        if name not in known:
            raise UserError(f"--names {name}: {target} registers no such name; {nearest(name, known)}")
    return [item for item in found if not names or item[2] in names]


def _rows(output: Output, plugin: Plugin, registry: Registry[Any], name: str) -> Iterator[dict[str, Any]]:
    """Check every configuration of one name; yield a row of the JSON for each contract."""
    for config in _configurations(plugin, registry, name):
        output.say(f"\n{registry.kind} {name}{_fields(config)}", style="bold")
        for finding in _findings(registry, config):
            row = {
                "kind": registry.kind,
                "name": name,
                "configuration": config.model_dump(mode="json"),
                "contract": finding.contract,
                "outcome": finding.outcome,
                "expected": finding.expected,
                "found": _found(finding, plugin),
            }
            output.say(_line(row))
            yield row


def _configurations(plugin: Plugin, registry: Registry[Any], name: str) -> list[Any]:
    config_class = registry.get(name)
    try:
        configs: list[Any] = config_class.contract_configs()
    except ValidationError as error:
        missing = ", ".join(".".join(map(str, one["loc"])) or str(one["msg"]) for one in error.errors())
        raise UserError(
            f"{plugin.location}: {registry.kind} '{name}' has no small configuration to check ({missing}): give "
            f"its fields defaults, or override the class method contract_configs of {config_class.__qualname__}"
        ) from error
    except Exception as error:
        raise UserError(
            f"{last_line_in(plugin, error)}: contract_configs of {config_class.__qualname__} fails: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not configs:
        raise UserError(f"{plugin.location}: contract_configs of {config_class.__qualname__} returns nothing")
    return configs


def _findings(registry: Registry[Any], config: Any) -> Iterable[Finding]:
    from trainables.contract.architectures import examine_architecture  # both import PyTorch
    from trainables.contract.tasks import examine_task

    if registry is ARCHITECTURES:
        return examine_architecture(config)
    try:
        return list(examine_task(config, data_dir_from_environment()))
    except DataError as error:
        raise UserError(f"task '{config.name}': {error}") from error


def _found(finding: Finding, plugin: Plugin) -> str:
    """Return what a contract found instead; for an exception in the plugin also where it was raised."""
    if finding.error is None:
        return finding.found
    where = last_line_in(plugin, finding.error)
    return f"{finding.found} ({where})" if where != plugin.location else finding.found


def _fields(config: NamedConfig) -> str:
    """Return the fields of a configuration that differ from its class's defaults."""
    changed = config.model_dump(mode="json", exclude_defaults=True)
    return "".join(f", {key}={value}" for key, value in changed.items() if key != "name")


def _line(row: dict[str, Any]) -> str:
    head = f"  {_OUTCOME_LABELS[row['outcome']]:<20}{row['contract']}"
    if row["outcome"] == "failed":
        return f"{head}: expected: {row['expected']}; found: {row['found']}"
    if row["outcome"] == "not_declared":
        return f"{head}: {_NOT_DECLARED[row['contract']]}"
    return head
