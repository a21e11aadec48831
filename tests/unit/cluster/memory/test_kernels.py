"""What CPU kernels take beside the tensors that they return."""

from __future__ import annotations

import torch
from torch import Tensor

from cluster.memory.kernels import CpuKernels

ATEN = torch.ops.aten
KERNELS = CpuKernels()


def matrix(rows: int, columns: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(rows, columns, dtype=dtype, device="meta")


def test_operands_of_a_narrower_type_are_converted_first() -> None:
    wide, narrow = matrix(64, 32, torch.float32), matrix(64, 32)
    assert KERNELS.temporary_bytes(ATEN.add.Tensor, (wide, narrow)) == 64 * 32 * 4
    assert KERNELS.temporary_bytes(ATEN.mul.Tensor, (matrix(1, 32), wide)) == 32 * 4, "before it is broadcast"
    assert KERNELS.temporary_bytes(ATEN.add.Tensor, (wide, wide)) == 0
    assert KERNELS.temporary_bytes(ATEN.mul.Tensor, (narrow, torch.empty((), device="meta"))) == 0
    mask = torch.empty(64, 32, dtype=torch.bool, device="meta")
    assert KERNELS.temporary_bytes(ATEN.where.self, (mask, wide, wide)) == 0
    assert KERNELS.temporary_bytes(ATEN.mm.default, (wide, wide)) == 0


def test_products_in_bfloat16_are_compiled_for_their_shapes() -> None:
    def compiled(*operands: Tensor) -> object:
        operation = ATEN.mm if len(operands) == 2 else ATEN.addmm
        return KERNELS.compiled_for(operation.default, operands)

    product = compiled(matrix(64, 32), matrix(32, 48))
    assert product is not None
    assert product == compiled(matrix(64, 32), matrix(32, 48))
    others = [compiled(matrix(65, 32), matrix(32, 48)), compiled(matrix(64, 32), matrix(48, 32).t())]
    others.append(compiled(matrix(1, 48), matrix(64, 32), matrix(32, 48)))
    assert len({product, *others}) == 4
    assert compiled(matrix(16, 16), matrix(16, 16)) is None, "too small for oneDNN"
    assert compiled(matrix(64, 32, torch.float32), matrix(32, 48, torch.float32)) is None
    assert KERNELS.compiled_for(ATEN.add.Tensor, (matrix(64, 32), matrix(64, 32))) is None
