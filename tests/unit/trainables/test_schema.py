"""What a configuration leaves out of its id, and the class that it builds."""

from __future__ import annotations

import pytest

from trainables.registry import REGISTRIES, Registry
from trainables.schema import NamedConfig, without_added


def test_an_added_field_at_its_value_of_before_is_left_out() -> None:
    added = {"window": 16, "pvm.shared": False, "plm.t2": None}
    before = {"d_model": 8, "window": 16, "pvm": {"alpha": 0.3, "shared": False}, "plm": None}
    assert without_added(before, added) == {"d_model": 8, "pvm": {"alpha": 0.3}, "plm": None}


def test_an_added_field_with_another_value_counts() -> None:
    added = {"window": 16, "pvm.shared": False}
    other = {"window": 8, "pvm": {"shared": True}}
    assert without_added(other, added) == other
    assert without_added({}, added) == {}


@pytest.mark.parametrize("registry", REGISTRIES, ids=[registry.kind for registry in REGISTRIES])
def test_a_class_that_is_named_as_text_exists(registry: Registry[NamedConfig]) -> None:
    named = [config_class for config_class, _ in registry.registrations().values() if config_class.builds]
    assert len(named) >= 5
    for config_class in named:
        assert config_class.built_class().__name__ == config_class.builds.partition(":")[2]


def test_a_configuration_that_names_no_class_says_so() -> None:
    class Unfinished(NamedConfig):
        name: str = "unfinished"

    with pytest.raises(NotImplementedError, match="Unfinished names no class that it `builds`"):
        Unfinished.built_class()
