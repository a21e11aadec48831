"""The readout of the memories: queries, what is read, which logits are added, and KISS-Ridge's calibration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tests.parity.resonant.passes import ours
from tests.parity.row import Row
from tests.parity.vectors import Vectors, difference, load_exactly
from trainables.architectures.resonant.build import build_parts
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.memory.phase_vector import PhaseVectorMemory
from trainables.architectures.resonant.model import ResonantModel
from trainables.architectures.resonant.readout.readout import Readout
from trainables.architectures.resonant.readout.ridge import RidgeProjection, solve_ridge
from trainables.batch import IGNORED, Batch
from trainables.randomness import initialise


def _config(d_model: int, **fields: Any) -> ResonantConfig:
    groups: dict[str, Any] = {"pvm": {}, "readout": {}, "ridge": {}}
    given = {"fidelity": "as_published", "d_model": d_model, "num_heads": 1, **groups, **fields}
    return ResonantConfig.model_validate(given)


def _readout(map_DD: Tensor, vocab_size: int, **fields: Any) -> Readout:
    """Return the readout of a configuration with a published map, whose rows are outputs."""
    readout = build_parts(_config(len(map_DD), **fields), len(map_DD), vocab_size).readout
    assert readout is not None
    readout.double()
    load_exactly(readout, {"projection.map_DD": map_DD.mT})
    readout.set_step(0)
    return readout


# --- queries ---


def _queries() -> dict[str, float]:
    vectors = Vectors("query_keys")
    found = {}
    for mode in ("mean", "ema", "phase_weighted"):
        largest = 0.0
        for window in (1, 4, 16, 64):
            readout = _readout(torch.eye(8), 9, query={"mode": mode, "window": window})
            assert readout.query is not None
            query_BD = readout.query(vectors["hidden_BTD"])[:, -1]
            largest = max(largest, difference(query_BD, vectors[f"{mode}/window{window}"]))
        found[mode] = largest
    return found


# --- logits ---


def _added_last(readout: Readout, read_B1D: Tensor, tokens_BT: Tensor, head_VD: Tensor, answer: int) -> Tensor:
    added_BTV = readout.logits(read_B1D, tokens_BT, lambda x: x @ head_VD.mT, answer_length=answer)
    assert not added_BTV[:, :-1].any()
    return added_BTV[:, -1]


_CASES: dict[str, dict[str, Any]] = {
    **{f"window{window}": {"window": window} for window in (4, 8, 16)},
    **{f"scale{scale}": {"scale": scale, "window": 8} for scale in (0.1, 0.5, 2.0)},
    **{f"topk{top_k}": {"top_k": top_k, "window": 8} for top_k in (3, 12)},
}


def _logits(prefix: str) -> dict[str, float]:
    vectors = Vectors("readout_logits")
    head_VD, tokens_BT = vectors["head_VD"].double(), vectors["input_ids"]
    found = {}
    for case, options in _CASES.items():
        if case.startswith(prefix):
            readout = _readout(vectors["map_DD"], len(head_VD), readout=options)
            added_BV = _added_last(readout, vectors[f"read/{case}"][:, None], tokens_BT, head_VD, 8)
            found[case] = difference(added_BV, vectors[f"added/{case}"])
    return found


def _gradients(window: int, scale: float, top_k: int) -> dict[str, float]:
    vectors = Vectors("readout_gradients")
    expected = vectors.under(f"window{window}/scale{scale}/topk{top_k}/")
    hidden_BTD, trace_TD, head_VD = (
        vectors[name].clone().requires_grad_() for name in ("hidden_BTD", "trace_TD", "head_VD")
    )
    options = {"window": window, "scale": scale, "top_k": top_k}
    given = {"readout": options, "query": {"window": window}, "ridge": {"unfreeze_step": 0}}
    readout = _readout(vectors["map_DD"], len(head_VD), **given)
    read_B1D = readout.read(hidden_BTD, trace_TD.expand(len(hidden_BTD), -1, -1))
    added_BV = _added_last(readout, read_B1D, vectors["input_ids"].long(), head_VD, int(vectors["needle_length"]))
    (added_BV * expected["functional_BV"]).sum().backward()
    assert isinstance(readout.projection, RidgeProjection) and readout.projection.map_DD.grad is not None
    of_map_DD = readout.projection.map_DD.grad.mT
    gradients = {"hidden": hidden_BTD.grad, "trace": trace_TD.grad, "map": of_map_DD, "head": head_VD.grad}
    return {
        "read": difference(read_B1D[:, 0], expected["read_BD"]),
        "out": difference(added_BV, expected["added_BV"]),
        "grad": max(difference(value, expected[f"grad_{name}"]) for name, value in gradients.items()),
    }


_GRADIENT_CASES = (
    *itertools.product((6,), (0.1, 0.5, 1.0, 2.0), (0, 3)),
    *itertools.product((3, 12), (0.5, 1.0), (0,)),
)


def _all_gradients() -> dict[str, float]:
    """Return the largest differences over all windows, scales and numbers kept."""
    found = [_gradients(*case) for case in _GRADIENT_CASES]
    return {name: max(one[name] for one in found) for name in found[0]}


# --- calibration ---

_POSITIONS = 34
_PAIRS = 24


def _model(vectors: Vectors, l2: str) -> ResonantModel:
    """Return a model with the published block and embedding; its backbone takes no part in the calibration."""
    config = _config(8, num_layers=1, positions="none", ridge={"max_pairs": _PAIRS, "l2": float(l2)})
    model = config.build(vocab_size=240, max_seq_len=_POSITIONS)
    assert isinstance(model, ResonantModel)
    initialise(model, 0)
    model.double()
    (block,) = model.resonant_blocks()
    load_exactly(block, ours(vectors.under("param/")))
    model.backbone.load_state_dict({"token_embedding.weight": vectors["embedding_VD"]}, strict=False)
    model.answer_length = _POSITIONS - int(vectors["retrieval_start"][0])
    return model.train()


def _batches(tokens_NBT: Tensor, answer_length: int) -> Iterator[Batch]:
    """Yield published inputs with our targets, which are a position earlier."""
    for tokens_BT in tokens_NBT.long():
        targets_BT = torch.full_like(tokens_BT, IGNORED)
        targets_BT[:, -answer_length - 1 : -1] = tokens_BT[:, -answer_length:]
        yield Batch(tokens_BT, targets_BT)


def _calibration(l2: str) -> dict[str, float]:
    vectors, collected = Vectors("kiss_ridge"), []
    model = _model(vectors, l2)
    pairs_of = model._pairs
    model._pairs = lambda *asked: collected.append(pairs_of(*asked)) or collected[-1]  # type: ignore[assignment,func-returns-value]
    assert model.readout is not None and model.answer_length is not None
    warm_up, pairs = (
        list(_batches(vectors[f"{part}_input_ids"], model.answer_length)) for part in ("warmup", "pairs")
    )
    batches = iter((warm_up[0], *warm_up, *pairs))  # the first is looked at, not run
    model.on_step_start(0, lambda: next(batches))
    (block,) = model.resonant_blocks()
    (memory,) = block.memories
    assert isinstance(memory, PhaseVectorMemory) and memory.carried_D is not None
    assert isinstance(model.readout.projection, RidgeProjection)
    (z_ND, e_ND) = (normalize(each.double(), dim=1) for each in collected[0])
    counts = [difference(passes.double(), vectors["counter_after_pairs"]) for passes in (block.step, memory.passes)]
    return {
        "counter": max(counts),
        "memory": difference(memory.carried_D, vectors["memory_after_pairs"]),
        "Z": difference(z_ND, vectors["Z_ND"]),
        "E": difference(e_ND, vectors["E_ND"]),
        "map": difference(model.readout.projection.map_DD, vectors[f"map_l2_{l2}_DD"]),
    }


def _solution() -> dict[str, float]:
    vectors = Vectors("kiss_ridge")
    return {
        f"l2 {l2}": difference(
            solve_ridge(vectors["Z_ND"], vectors["E_ND"], float(l2)), vectors[f"exact_map_l2_{l2}_DD"]
        )
        for l2 in ("0.001", "1")
    }


ROWS = (
    Row(what="readout, queries from the last hidden states", measure=_queries),
    Row(what="readout, ids that pass the mask", measure=partial(_logits, "window")),
    Row(what="readout, scale", measure=partial(_logits, "scale")),
    Row(what="readout, top-k ids", measure=partial(_logits, "topk")),
    Row(what="readout and its gradients, 12 settings", measure=_all_gradients),
    Row(what="KISS-Ridge, collected and solved", measure=partial(_calibration, "1"), tolerance=1e-6),
    Row(
        what="KISS-Ridge, with the published l2 of .001",
        measure=partial(_calibration, "0.001"),
        tolerance=1e-6,
        tolerances={"map": 2e-6},  # so small an l2 passes the float32 rounding of their Z on tenfold
    ),
    Row(what="KISS-Ridge, solved from equal pairs", measure=_solution),
)
