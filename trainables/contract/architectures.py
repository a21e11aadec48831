"""Contracts of architectures, as checks that a plugin's author can run too: no test framework is needed.

`examine_architecture(MyConfig(...))` runs them all. A contract that a configuration declares in `violates` is
checked in reverse: it must really be broken, so that a declared artefact cannot disappear unnoticed.

Contracts on different inputs are checked after a small random change of all parameters: what is only inactive
at initialisation, such as a learned coupling of 0, is checked as training can change it.
"""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.contract.finding import ContractError, Finding, check_violations, examine, examine_all
from trainables.layers.cumulative import BLOCK
from trainables.layers.mixer import Mixer
from trainables.randomness import INIT_STD, generator, initialise
from trainables.registry import ARCHITECTURES

VOCAB_SIZE = 23
SEQ_LEN = BLOCK + 6
"""Longer than one block, so that a leak from block to block shows."""
STREAM_PARTS = (1, 1, BLOCK - 3, 1, 1, 3, 1, 1)
"""Tokens given at a time to a model that continues a sequence from its state."""
REFERENCE_LENGTHS = (1, 63, 100, 513)
BATCH_SIZE = 3
SEED = 0
TOLERANCE = 1e-10
"""Largest change of a float64 logit that counts as none."""
RELATIVE_TOLERANCE = 1e-9
"""Largest relative difference from a reference, with `TOLERANCE` as the absolute one."""
CHANCE_TOLERANCE_NATS = 0.25


def build(config: ArchitectureConfig, seed: int = SEED, *, max_seq_len: int = SEQ_LEN) -> LanguageModel:
    """Return the initialised model in float64 and evaluation mode, so that rounding cannot hide a leak."""
    model = config.build(vocab_size=VOCAB_SIZE, max_seq_len=max_seq_len)
    initialise(model, seed)
    return model.double().eval()


@torch.no_grad()
def build_moved(config: ArchitectureConfig, *, max_seq_len: int = SEQ_LEN) -> LanguageModel:
    """Return `build`'s model with every parameter perturbed a little, as training would."""
    model = build(config, max_seq_len=max_seq_len)
    for name, parameter in model.named_parameters():
        step = torch.randn(parameter.shape, generator=generator(SEED, "contract", "move", name))
        parameter.add_(INIT_STD * step)
    return model


def tokens(name: str) -> Tensor:
    """Return random tokens_BT of the stream `name`."""
    return torch.randint(VOCAB_SIZE, (BATCH_SIZE, SEQ_LEN), generator=generator(SEED, "contract", name))


def logits(model: LanguageModel, tokens_BT: Tensor) -> Tensor:
    """Return the logits without recording gradients."""
    with torch.no_grad():
        logits_BTV: Tensor = model(tokens_BT).logits_BTV
    return logits_BTV


def check_causality(config: ArchitectureConfig) -> None:
    """Changing a token must leave every earlier position's logits alone."""
    model, tokens_BT = build_moved(config), tokens("inputs")
    before_BTV = logits(model, tokens_BT)
    for changed in range(1, SEQ_LEN):
        other_BT = tokens_BT.clone()
        other_BT[:, changed] = (other_BT[:, changed] + 1) % VOCAB_SIZE
        leak = (logits(model, other_BT) - before_BTV)[:, :changed].abs().amax((0, 2))
        if leak.max() > TOLERANCE:
            raise ContractError(
                f"not causal: changing token {changed} moves the logits at position {int(leak.argmax())} "
                f"by {float(leak.max()):.2g}"
            )


def check_batch_independence(config: ArchitectureConfig) -> None:
    """A sequence's logits must not depend on what else is in the batch, or on earlier batches."""
    model, tokens_BT = build_moved(config), tokens("inputs")
    alone_BTV = torch.cat([logits(model, row_BT) for row_BT in tokens_BT.split(1)])
    logits(model, tokens("others"))
    change = float((logits(model, tokens_BT) - alone_BTV).abs().max())
    if change > TOLERANCE:
        raise ContractError(f"a sequence's logits change by {change:.2g} with its neighbours in the batch")


def check_repeatability(config: ArchitectureConfig) -> None:
    """Equal seeds must give equal bits, in training mode too; another seed must give another start."""
    outputs = []
    for _ in range(2):
        model = build(config).train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            outputs.append(logits(model, tokens("inputs")))
    if not torch.equal(*outputs):
        raise ContractError("two builds with one seed give different logits: a draw does not use its stream")
    if torch.equal(logits(build(config), tokens("inputs")), logits(build(config, SEED + 1), tokens("inputs"))):
        raise ContractError("another seed gives the same model: the parameters are not drawn from the seed")


def _in_training(model: LanguageModel, inputs_BT: Tensor, targets_BT: Tensor) -> ModelOutput:
    """Run a training forward pass, with targets for a model that needs them; its random draws are repeatable."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        output: ModelOutput = model(inputs_BT, targets_BT) if model.needs_targets else model(inputs_BT)
    return output


def _add_gradients(model: LanguageModel, inputs_BT: Tensor, targets_BT: Tensor) -> None:
    """Add the gradients of the training loss with its penalty, weighted as a slice of `BATCH_SIZE` sequences."""
    output = _in_training(model, inputs_BT, targets_BT)
    loss = functional.cross_entropy(output.logits_BTV.flatten(0, 1), targets_BT.flatten())
    share = (loss + output.penalty) * (len(inputs_BT) / BATCH_SIZE)
    if share.requires_grad:  # a control may have nothing to train
        share.backward()


def check_micro_batches(config: ArchitectureConfig) -> None:
    """The parts of a batch must have the gradients of the whole, where `microbatch_invariant` says so."""
    if not config.microbatch_invariant:
        return
    whole, parts = build_moved(config).train(), build_moved(config).train()
    inputs_BT, targets_BT = tokens("inputs"), tokens("targets")
    _add_gradients(whole, inputs_BT, targets_BT)
    for part in torch.arange(BATCH_SIZE).split([1, BATCH_SIZE - 1]):
        _add_gradients(parts, inputs_BT[part], targets_BT[part])
    for (name, one), other in zip(whole.named_parameters(), parts.parameters(), strict=True):
        if one.grad is None or other.grad is None:
            continue  # reported by `gradients`
        difference = float((one.grad - other.grad).abs().max())
        if difference > TOLERANCE + RELATIVE_TOLERANCE * float(one.grad.abs().max()):
            raise ContractError(
                f"the gradient of '{name}' changes by {difference:.3g} when a batch is split: microbatch_invariant "
                "must be False, so that no batch is split after an out-of-memory"
            )


@torch.no_grad()
def check_targets(config: ArchitectureConfig) -> None:
    """Logits must not depend on the targets that a model is given for its penalty."""
    seen = []
    for name in ("targets", "others"):
        model = build_moved(config).train()
        if not model.needs_targets:
            return
        seen.append(_in_training(model, tokens("inputs"), tokens(name)).logits_BTV)
    if not torch.equal(*seen):
        raise ContractError("other targets give other logits: the model sees what it is to predict")


def check_gradients(config: ArchitectureConfig) -> None:
    """The loss must send a finite gradient, not all zero, to every parameter."""
    model = build(config).train()
    _add_gradients(model, tokens("inputs"), tokens("targets"))
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.grad is None or not parameter.grad.any():
            raise ContractError(f"parameter '{name}' gets no gradient")
        if not parameter.grad.isfinite().all():
            raise ContractError(f"parameter '{name}' gets a gradient that is not finite")


def check_reference(config: ArchitectureConfig) -> None:
    """Every mixer that has a slow reference must equal it, gradients included, whatever the length."""
    model = build_moved(config, max_seq_len=max(REFERENCE_LENGTHS))
    for name, mixer in model.named_modules():
        if isinstance(mixer, Mixer):
            for seq_len in REFERENCE_LENGTHS:
                draw = generator(SEED, "contract", "reference", name, str(seq_len))
                x_BTD = torch.randn(1, seq_len, config.d_model, dtype=torch.float64, generator=draw)
                compare_with_reference(mixer, x_BTD, name=name)


def has_reference(config: ArchitectureConfig) -> bool:
    """Return whether any mixer of the model declares a slow reference."""
    x_BTD = torch.zeros(1, 1, config.d_model, dtype=torch.float64)
    mixers = (module for module in build(config).modules() if isinstance(module, Mixer))
    return any(mixer.reference(x_BTD) is not None for mixer in mixers)


def compare_with_reference(mixer: Mixer, x_BTD: Tensor, *, name: str = "mixer") -> None:
    """Compare a mixer in evaluation mode with its reference, if it has one, on the float64 input `x_BTD`.

    Raises:
        ContractError: If the outputs differ, or their gradients to the input or to a parameter.
    """
    x_BTD = x_BTD.clone().requires_grad_()
    slow_BTD = mixer.reference(x_BTD)
    if slow_BTD is None:
        return
    fast_BTD = mixer(x_BTD).y_BTD
    draw = generator(SEED, "contract", "direction")
    direction_BTD = torch.randn(fast_BTD.shape, dtype=torch.float64, generator=draw)
    trained = {key: parameter for key, parameter in mixer.named_parameters() if parameter.requires_grad}
    sources = [x_BTD, *trained.values()]
    fast, slow = (
        torch.autograd.grad((y_BTD * direction_BTD).sum(), sources, allow_unused=True, materialize_grads=True)
        for y_BTD in (fast_BTD, slow_BTD)
    )
    names = ["output", "gradient to its input", *(f"gradient to '{key}'" for key in trained)]
    for what, one, other in zip(names, (fast_BTD, *fast), (slow_BTD, *slow), strict=True):
        if not torch.allclose(one, other, rtol=RELATIVE_TOLERANCE, atol=TOLERANCE):
            raise ContractError(
                f"'{name}' differs from its reference at length {x_BTD.shape[1]}: {what} by "
                f"{float((one - other).detach().abs().max()):.2g}"
            )


@torch.no_grad()
def check_stream(config: ArchitectureConfig) -> None:
    """A sequence that is continued from a state, token by token, must have the logits of the whole sequence."""
    model, tokens_BT = build_moved(config), tokens("inputs")
    whole_BTV, state = logits(model, tokens_BT), None
    place = 0
    for part_BT in tokens_BT.split(STREAM_PARTS, dim=1):
        found = model.stream(part_BT, state)
        if found is None:
            if place == 0:
                return
            raise ContractError(f"a sequence can be begun by `stream`, but not continued at position {place}")
        logits_BTV, state = found
        expected_BTV = whole_BTV[:, place : place + part_BT.shape[1]]
        if not torch.allclose(logits_BTV, expected_BTV, rtol=RELATIVE_TOLERANCE, atol=TOLERANCE):
            difference = float((logits_BTV - expected_BTV).abs().max())
            raise ContractError(f"logits continued from a state differ by {difference:.2g} at position {place}")
        place += part_BT.shape[1]
    _check_prefill(model, tokens_BT, whole_BTV)


def _check_prefill(model: LanguageModel, tokens_BT: Tensor, whole_BTV: Tensor) -> None:
    """A prompt that is read ahead must leave the logits of its last token, and a state that can be copied."""
    half = tokens_BT.shape[1] // 2
    started = model.prefill(tokens_BT[:, :half])
    assert started is not None
    kept = copy.deepcopy(started[1])
    ended = model.prefill(tokens_BT[:, half:], started[1])
    again = model.prefill(tokens_BT[:, half:], kept)
    assert ended is not None and again is not None
    for what, found_BV, place in (("half", started[0], half - 1), ("all", ended[0], -1), ("a copy", again[0], -1)):
        if not torch.allclose(found_BV, whole_BTV[:, place], rtol=RELATIVE_TOLERANCE, atol=TOLERANCE):
            difference = float((found_BV - whole_BTV[:, place]).abs().max())
            raise ContractError(f"logits after {what} of a prompt differ by {difference:.2g} from `forward`'s")


def has_stream(config: ArchitectureConfig) -> bool:
    """Return whether the model can continue a sequence from a state."""
    with torch.no_grad():
        return build(config).stream(tokens("inputs")[:, :1]) is not None


def check_checkpoint(config: ArchitectureConfig) -> None:
    """A saved state loaded into a fresh model must give equal bits."""
    saved, restored = build(config), build(config, SEED + 1)
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    restored.load_state_dict(torch.load(file, weights_only=True))
    if not torch.equal(logits(saved, tokens("inputs")), logits(restored, tokens("inputs"))):
        raise ContractError("a restored model gives other logits: something is missing from its state_dict")


def check_chance(config: ArchitectureConfig) -> None:
    """An untrained model must score about ln V nats a token on random targets: it knows nothing yet."""
    logits_BTV = logits(build(config), tokens("inputs"))
    loss = float(functional.cross_entropy(logits_BTV.flatten(0, 1), tokens("targets").flatten()))
    if not abs(loss - math.log(VOCAB_SIZE)) < CHANCE_TOLERANCE_NATS:
        raise ContractError(f"untrained loss is {loss:.3f} nats a token; chance is {math.log(VOCAB_SIZE):.3f}")


def check_round_trip(config: ArchitectureConfig) -> None:
    """Configuration to JSON and back must be the identity, and so must its canonical form."""
    read = ARCHITECTURES.parse(json.loads(json.dumps(config.model_dump(mode="json"), allow_nan=False)))
    if read != config:
        raise ContractError(f"a configuration changes on its way through JSON: {config!r} becomes {read!r}")
    if json.dumps(read.canonical(), sort_keys=True) != json.dumps(config.canonical(), sort_keys=True):
        raise ContractError("equal configurations have different canonical forms")


def check_probes(config: ArchitectureConfig) -> None:
    """What a model measures of itself must be declared, with each null that a declaration names."""
    declared = {probe.name: probe for probe in config.probes}
    measured = {name.partition("/layer")[0] for name in build_moved(config).probes(tokens("inputs"))}
    for name in sorted(measured):
        if name not in declared:
            raise ContractError(
                f"the model measures '{name}', which {type(config).__name__}.probes does not declare"
            )
        null = declared[name].null
        if null is not None and null not in measured:
            raise ContractError(f"'{name}' declares '{null}' as its null, which the model does not measure")


CHECKS: dict[str, Callable[[ArchitectureConfig], None]] = {
    "causality": check_causality,
    "batch_independence": check_batch_independence,
    "micro_batches": check_micro_batches,
    "targets": check_targets,
    "repeatability": check_repeatability,
    "gradients": check_gradients,
    "reference": check_reference,
    "stream": check_stream,
    "checkpoint": check_checkpoint,
    "probes": check_probes,
    "chance": check_chance,
    "round_trip": check_round_trip,
}
"""Every contract by the name that `violates` uses."""

OPTIONAL: dict[str, Callable[[ArchitectureConfig], bool]] = {"reference": has_reference, "stream": has_stream}
"""What tells whether a model declares what a contract is about; there is nothing to check if it does not."""


def examine_architecture(config: ArchitectureConfig) -> Iterator[Finding]:
    """Check every contract and yield each finding; exceptions of the code under check are caught.

    Use a small model: the checks run it about 100 times in float64 on the CPU, and a reference may hold T×T
    tensors of 513 positions.
    """
    yield examine("violations", check_violations, lambda: check_violations(config.violates, CHECKS))
    for finding in examine_all(CHECKS, config.violates, config):
        applies = OPTIONAL.get(finding.contract)
        absent = finding.outcome == "passed" and applies is not None and not applies(config)
        yield replace(finding, outcome="not_declared") if absent else finding
