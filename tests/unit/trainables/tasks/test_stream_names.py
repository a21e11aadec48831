"""Fixed examples are the data that results are published on: no renaming of a class may draw others."""

from __future__ import annotations

from typing import Any

import pytest

from trainables.tasks.copying import CopyConfig
from trainables.tasks.copying.task import CopyTask
from trainables.tasks.facts import FactsConfig
from trainables.tasks.facts.task import FactsTask
from trainables.tasks.recall.config import RecallConfig
from trainables.tasks.recall.task import RecallTask
from trainables.tasks.synthetic import SyntheticConfig
from trainables.tasks.synthetic.task import SyntheticTask

SIZES = {"num_val": 20, "num_test": 20, "num_train": 5}


@pytest.mark.parametrize(
    ("config_class", "task_class", "data_hash"),
    [
        (CopyConfig, CopyTask, "71d75f0aaf22ad02"),
        (FactsConfig, FactsTask, "4f6cb62c0cdc12de"),
        (RecallConfig, RecallTask, "d5ab3325cae4ec50"),
    ],
)
def test_the_data_of_a_task_does_not_depend_on_the_name_of_its_class(
    config_class: type[SyntheticConfig], task_class: type[SyntheticTask[Any]], data_hash: str
) -> None:
    config = config_class.model_validate(SIZES)
    renamed: Any = type("Renamed", (task_class,), {})
    assert config.build(None).data_hash[:16] == data_hash
    assert renamed(config).data_hash[:16] == data_hash
