from __future__ import annotations

import math

import pytest
import torch

from tests.unit.trainables.architectures.resonant.memories import inputs, lattice, passed
from trainables.architectures.resonant.memory.base import MemoryState
from trainables.architectures.resonant.memory.decay import T2Decay
from trainables.architectures.resonant.memory.phase_lattice import PhaseLatticeMemory, hartley, laplacian_modes


def test_lattice_has_the_size_of_the_logs() -> None:
    """Two D×D layers with biases, a gate, two scalars for each of 16 cells."""
    with torch.device("meta"):
        memory = PhaseLatticeMemory(2048, init_std=0.02, bias=True)
    assert sum(parameter.numel() for parameter in memory.parameters()) == 2 * (2048**2 + 2048) + 1 + 32


def test_lattice_is_a_torus() -> None:
    """Moving the input round either side by any number of cells moves what is stored by as many."""
    memory = lattice(64, grid_x=4, grid_y=4)
    with torch.no_grad():
        memory.to_cells.weight.copy_(torch.eye(64))
    x_BTD = inputs(1, 12, 64)
    cells = memory.run(x_BTD).state.memory_BD.view(4, 4, 4)
    for shifts in ((1, 0), (0, 1), (3, 2)):
        moved_BTD = x_BTD.view(1, 12, 4, 4, 4).roll(shifts, (2, 3)).flatten(2)
        moved = memory.run(moved_BTD).state.memory_BD.view(4, 4, 4)
        torch.testing.assert_close(moved, cells.roll(shifts, (0, 1)))


def test_lattice_fades_with_t2_and_leaks_the_same_share() -> None:
    """Of a unit in a cell d(2) is left in all cells at the second position, 4κ/β of it in the neighbours."""
    memory = lattice(32, alpha=1.0, t2=T2Decay(steps=10.0, fades_read=False))
    with torch.no_grad():
        memory.to_cells.bias.zero_()
    unit_BD = torch.zeros(1, 32, dtype=torch.float64)
    unit_BD[0, 0] = 1
    silent_BTD = torch.zeros(1, 1, 32, dtype=torch.float64)
    after = memory.run(silent_BTD, MemoryState(unit_BD, 1)).state.memory_BD.view(4, 4, 2)[..., 0].detach()
    assert float(after.sum()) == pytest.approx(math.exp(-0.2))
    assert float(after[0, 0] / after.sum()) == pytest.approx(1 - 4 * 0.05 / 0.9)


def test_published_lattice_fades_with_the_number_of_passes_which_is_saved() -> None:
    x_BTD, published = inputs(1, 5, 32), {"t2": T2Decay(steps=10.0, published=True)}
    memory = lattice(32, **published)
    assert torch.equal(memory.run(x_BTD).trace_BTD, lattice(32).run(x_BTD).trace_BTD), "off in evaluation"
    passed(memory, x_BTD, times=40)
    restored = lattice(32, **published)
    restored.load_state_dict(memory.state_dict())
    for one in (memory.train(), restored.train()):
        faint_BTD = one.run(x_BTD).trace_BTD - one.out.bias
        assert 0 < float(faint_BTD.detach().abs().max()) < 0.02
    assert "passes" not in lattice(32).state_dict(), "states without such a decay are as they were"


def test_lattice_leaks_to_neighbours_and_keeps_the_total() -> None:
    """Of a unit in a cell β − 4κ stays, κ goes to each of four neighbours, nothing further; the sum decays by β."""
    memory = lattice(32, alpha=1.0)
    x_BTD = torch.zeros(1, 1, 32, dtype=torch.float64)
    unit_BD = x_BTD[:, 0].clone()
    unit_BD[0, 0] = 1
    with torch.no_grad():
        memory.to_cells.bias.zero_()
    after = memory.run(x_BTD, MemoryState(unit_BD, 1)).state.memory_BD.view(4, 4, 2)[..., 0]
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[0, 0] = 0.9 - 4 * 0.05
    expected[1, 0] = expected[3, 0] = expected[0, 1] = expected[0, 3] = 0.05
    torch.testing.assert_close(after, expected)
    assert float(after.detach().sum()) == pytest.approx(0.9)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_hartley_basis_diagonalises_the_ring(size: int) -> None:
    basis, eye = hartley(size, torch.device("cpu")), torch.eye(size, dtype=torch.float64)
    torch.testing.assert_close(basis @ basis, eye)
    laplacian = eye.roll(1, 0) + eye.roll(-1, 0) - 2 * eye
    modes = torch.tensor(laplacian_modes((size, 1)), dtype=torch.float64)
    torch.testing.assert_close(basis @ laplacian @ basis, modes.diag())
