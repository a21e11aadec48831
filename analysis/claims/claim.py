"""Claims: statements with a test, declared before anything is run. Declares and validates them; does not judge.

A claim is judged against its controls, not against zero. Each kind of test needs its own fields (`claims.kinds`);
a claim that lacks such a field, or sets one that its test does not read, is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from analysis.claims.kinds import KINDS, Direction, Fidelity, Kind, MarginUnit, Statistic
from analysis.suggestions import did_you_mean

STEP = "step"
"""Value of `over` for a trend along training."""

RECEIPT_PREFIX = "receipt/"
"""Prefix of a memory-receipt quantity used as the metric of a `receipt` claim."""

MIN_LEVELS = 3
"""Fewest arms for a trend, a curve or a correlation."""

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class ClaimError(ValueError):
    """An incomplete or inconsistent claim; the message names claim, field and fix.

    Attributes:
        field: The field at fault.
    """

    def __init__(self, claim_id: str, field: str, message: str) -> None:
        super().__init__(f"claim '{claim_id}': {field}: {message}")
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement that the results of a study should support or refute.

    Raises:
        ClaimError: If a field is missing, malformed or not used by the kind.
    """

    id: str
    """Unique in its study, such as `K1`."""
    statement: str
    """What was claimed, in words."""
    source: str
    """Who claimed it, and where."""
    kind: Kind
    settled_at: str
    """Smallest scale at which the claim can be settled; a verdict from a smaller one is only an indication."""
    fidelity: Fidelity = "any"
    """Whether it is about the published code, artefacts included, or about the corrected code."""
    metric: str | None = None
    """Name of a metric; or `a - b`, the difference of two within each replicate, such as a value minus its null."""
    statistic: Statistic = "last"
    """Which report counts: the last, the best, or the ratio of the last to the best."""
    arm: str | None = None
    """The arm that the claim is about."""
    arms: tuple[str, ...] = ()
    """The arms that the claim is about, if it is about several."""
    against: tuple[str, ...] = ()
    """What `arm` is compared with: one arm, for `pairwise` one or more."""
    controls: tuple[str, ...] = ()
    """Arms without the mechanism. A better arm must also be better than each of them; whatever else is claimed,
    none of them may show the same. Where `arms` vary along `over`, controls do so, too; along steps each by
    itself."""
    direction: Direction | None = None
    """The side that supports the claim. A comparison needs it only if its metric has no better side."""
    margin: float | None = None
    """Smallest difference that counts, at least 0."""
    margin_unit: MarginUnit | None = None
    """Whether `margin` is in the metric's unit or a fraction of the compared arm's value."""
    published_effect: float | None = None
    """The published difference `arm` − `against` in the unit of Δ: that of the metric; of perplexity the relative
    change. Whether one so large is excluded is tested and told."""
    bound: float | None = None
    bounds: tuple[float, float] | None = None
    over: str | None = None
    """What varies: a dotted field of the configuration, a metric (it has a `/`), or `step`."""
    effect: tuple[str, ...] = ()
    """Dotted fields: one for its main effect, two for their interaction."""
    artefact: str = ""
    """What produces the claimed result in the published work without the claimed mechanism."""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise ClaimError(str(self.id), "id", "must be a word of letters, digits and _, such as K1")
        self._check_shapes()
        spec = KINDS[self.kind]
        for name in spec.needs:
            if not _is_given(getattr(self, name)):
                raise self._error(name, f"missing; a claim of kind {self.kind} needs it: {spec.meaning}")
        useful = {*_ALWAYS, *spec.needs, *spec.allows}
        for field in dataclasses.fields(self):
            if field.name not in useful and getattr(self, field.name) != field.default:
                raise self._error(field.name, f"a claim of kind {self.kind} has no use for it; remove it")
        self._check_values()

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any], *, claim_id: str | None = None) -> Claim:
        """Read a claim from parsed YAML or JSON; a null counts as absent, and a single name as a list of one.

        Args:
            fields: The parsed mapping.
            claim_id: Its id, if that is not among the fields.

        Raises:
            ClaimError: If a key is unknown, or the claim is incomplete.
        """
        given = {key: value for key, value in fields.items() if value is not None}
        if claim_id is not None:
            if "id" in given:
                raise ClaimError(claim_id, "id", "is the claim's key already; remove it")
            given["id"] = claim_id
        shown = str(given.get("id", "?"))
        known = [field.name for field in dataclasses.fields(cls)]
        for key in given:
            if key not in known:
                raise ClaimError(shown, str(key), f"unknown key; {did_you_mean(str(key), known)}")
        for name in ("id", "statement", "source", "kind", "settled_at"):
            if name not in given:
                raise ClaimError(shown, name, "missing; every claim needs it")
        for name in _LISTS:
            if isinstance(given.get(name), str):
                given[name] = (given[name],)
            elif isinstance(given.get(name), list):
                given[name] = tuple(given[name])
        return cls(**given)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Every metric that the claim reads from reports; a memory receipt is not one."""
        parts = [part for part in (self.metric, self.over if self.is_over_metric else None) if part]
        names = dict.fromkeys(name for part in parts for name in part.split(" - "))
        return tuple(name for name in names if not name.startswith(RECEIPT_PREFIX))

    @property
    def is_over_metric(self) -> bool:
        """Whether `over` is a measured metric; otherwise it is a configuration field or the step."""
        return self.over is not None and "/" in self.over

    @property
    def hash(self) -> str:
        """Identifies the declaration: SHA-256 of its fields as JSON, without those that are not given."""
        given = {key: value for key, value in self.to_json().items() if value not in (None, [], "")}
        return hashlib.sha256(json.dumps(given, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return every field; None for those that the kind does not use."""
        fields = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}

    def _error(self, field: str, message: str) -> ClaimError:
        return ClaimError(self.id, field, message)

    def _check_shapes(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                hint = did_you_mean(str(value), choices)
                raise self._error(name, f"unknown {name.replace('_', ' ')} {value!r}; {hint}")
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise self._error(name, f"must be text, got {value!r}")
        for name in ("statement", "source", "settled_at"):
            if not getattr(self, name).strip():
                raise self._error(name, "must not be empty")
        for name in _NAMES:
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(item, str) and item for item in value):
                raise self._error(name, f"must be a name or a list of names, got {value!r}")
            if len(set(value)) < len(value):
                raise self._error(name, f"names one twice: {', '.join(value)}")
        for name in ("margin", "bound", "published_effect"):
            value = getattr(self, name)
            if value is not None and not _is_finite(value):
                raise self._error(name, f"must be a finite number, got {value!r}")

    def _check_values(self) -> None:
        if self.bounds is not None:
            _check_bounds(self)
        if self.margin is not None and self.margin < 0:
            raise self._error("margin", f"must be at least 0, got {self.margin}")
        if self.margin == 0 and "margin" in KINDS[self.kind].needs:
            raise self._error("margin", "must be above 0: nothing is ever shown to be exactly equal")
        has_unit = "margin_unit" in (*KINDS[self.kind].needs, *KINDS[self.kind].allows)
        if has_unit and (self.margin is None) != (self.margin_unit is None):
            missing = "margin" if self.margin is None else "margin_unit"
            raise self._error(missing, "missing; a margin says whether it is absolute or relative")
        if self.kind == "failure_rate" and self.bound is not None and not 0 <= self.bound <= 1:
            raise self._error("bound", f"a share lies between 0 and 1, got {self.bound}")
        if self.published_effect == 0:
            raise self._error("published_effect", "must not be 0; an effect that was not published is left out")
        if self.published_effect is not None and len(self.against) > 1:
            raise self._error("published_effect", "is of one comparison; name one arm in `against`")
        if len(self.against) > 1 and self.kind != "pairwise":
            raise self._error("against", f"{self.kind} compares with one arm; for several use kind pairwise")
        if self.arm is not None and self.arm in (*self.against, *self.controls):
            raise self._error("against", f"'{self.arm}' cannot be compared with itself")
        if len(self.effect) > 2:
            raise self._error("effect", "one field for its main effect, or two for their interaction")
        if self.kind == "receipt" and not str(self.metric).startswith(RECEIPT_PREFIX):
            raise self._error(
                "metric", f"a quantity of the receipt begins with {RECEIPT_PREFIX}, got {self.metric}"
            )
        self._check_arms()

    def _check_arms(self) -> None:
        """Check that what varies has enough levels; a name may still be a pattern, which stands for any number."""
        if self.over == STEP and self.kind != "trend":
            raise self._error("over", f"only a trend runs along {STEP}")
        least = 1 if self.over == STEP else 4 if self.kind == "factorial" and len(self.effect) == 2 else MIN_LEVELS
        least = 2 if self.kind == "factorial" and len(self.effect) == 1 else least
        is_pattern = any(set(name) & set("*?[") for name in self.arms)
        if "arms" in KINDS[self.kind].needs and len(self.arms) < least and not is_pattern:
            raise self._error("arms", f"needs at least {least}, got {len(self.arms)}")


_ALWAYS = ("id", "statement", "source", "kind", "settled_at", "fidelity", "artefact")
_TEXTS = ("statement", "source", "settled_at", "metric", "arm", "over", "artefact")
_NAMES = ("arms", "against", "controls", "effect")
_LISTS = (*_NAMES, "bounds")
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": get_args(Kind),
    "fidelity": get_args(Fidelity),
    "statistic": get_args(Statistic),
    "direction": get_args(Direction),
    "margin_unit": get_args(MarginUnit),
}


def _is_given(value: Any) -> bool:
    return value is not None and value != ()


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_bounds(claim: Claim) -> None:
    bounds: Any = claim.bounds
    if not isinstance(bounds, tuple) or len(bounds) != 2 or not all(map(_is_finite, bounds)):
        raise ClaimError(claim.id, "bounds", f"must be [low, high], got {bounds!r}")
    if bounds[0] >= bounds[1]:
        raise ClaimError(claim.id, "bounds", f"low must be below high, got {list(bounds)}")
