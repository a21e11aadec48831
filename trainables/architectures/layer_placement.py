"""In which layers a family's mixers are."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from trainables.architectures.base import ArchitectureConfig


def _each_once(layers: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(layers)) < len(layers):
        raise ValueError(f"names a layer twice: {list(layers)}")
    return tuple(sorted(layers))


LayerIndices = Annotated[tuple[int, ...], Field(strict=False), AfterValidator(_each_once)]
"""0-based layers, sorted, without duplicates. YAML has no tuples, so a list of integers is accepted."""


def with_middle_layer(cls: type[ArchitectureConfig], field: str, values: dict[str, Any]) -> dict[str, Any]:
    """Place a family in the middle layer (layer 6 of 12, as published) unless `values` sets `field`."""
    num_layers = values.get("num_layers", cls.model_fields["num_layers"].default)
    has_middle = isinstance(num_layers, int) and num_layers > 0
    return {field: [num_layers // 2] if has_middle else [], **values}


def check_layers_exist(config: ArchitectureConfig, field: str) -> None:
    """Refuse a layer index beyond the number of layers.

    Raises:
        ValueError: If `field` of `config` has such an index.
    """
    for layer in getattr(config, field):
        if not 0 <= layer < config.num_layers:
            known = f"layers are 0 to {config.num_layers - 1}" if config.num_layers else "there are no layers"
            raise ValueError(f"{field} names layer {layer}, but num_layers={config.num_layers}: {known}")
