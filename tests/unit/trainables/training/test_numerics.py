"""What is recorded of how a replicate was computed."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from trainables.training.numerics import Numerics, cpu_model

INTEL = (
    "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz \nflags\t: fpu\n"
)
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"


def test_the_model_of_the_cpu_is_recorded() -> None:
    described = Numerics().describe()
    assert described["cpu"] == cpu_model() != ""
    assert described["hardware"] == platform.machine()


def test_the_model_is_that_of_the_system_s_description(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(INTEL)
    assert cpu_model(tmp_path / "cpuinfo") == "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"


@pytest.mark.parametrize("text", [None, ARM, "model name\t: \nflags\t: fpu\n"])
def test_a_system_that_names_no_model_has_at_least_an_instruction_set(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert cpu_model(tmp_path / "cpuinfo") in {platform.processor(), platform.machine()} - {""}
