"""How the published command line completes a configuration."""

from __future__ import annotations

from typing import Any

from trainables.schema import with_published


def completed(fields: dict[str, Any], published: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration with those that the published code would give it.

    Args:
        fields: As they are given; each stays as it is, but for a ramp of 0.
        published: Defaults, see `with_published`.
    """
    given = {"learn_phase": False, **fields}
    given |= {name: _with_both(fields[name]) for name in ("pvm", "plm") if name in fields}
    if fields.get("block_ramp_steps") == 0:
        given["block_ramp_steps"] = 1  # the published code divides by max(1, ramp)
    return with_published(given, published)


def _with_both(memory: Any) -> Any:
    """Return a memory where, as published, T2 brings PCM, and PCM a T2 decay that does not fade what is read."""
    if not isinstance(memory, dict):
        return memory
    if memory.get("t2") is not None:
        return {"pcm": {}, **memory}
    return {"t2": {"fades_read": False}, **memory} if memory.get("pcm") is not None else memory
