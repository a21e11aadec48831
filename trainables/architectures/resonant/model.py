"""The model of the `resonant` family: a backbone with blocks after its embedding and a readout at its end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.architectures.gpt.model import BackboneModel, num_parameters
from trainables.architectures.pretrained.model import HuggingFaceBackbone, load_backbone
from trainables.architectures.resonant.answers import answer_start, at_answer, check_answers, mean_row
from trainables.architectures.resonant.block.block import AFRBBlock, BlockState
from trainables.architectures.resonant.build import build_parts
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.fields import SCRATCH
from trainables.architectures.resonant.probing import measure
from trainables.architectures.resonant.readout.query import MeanQuery, Query
from trainables.architectures.resonant.readout.ridge import RECALIBRATION_SHARE, RidgeProjection

if TYPE_CHECKING:
    from trainables.batch import Batch

CALIBRATION_SEQUENCES = 64
"""Most sequences in one forward pass of the calibration: as in evaluation, so that it needs no more memory."""

PUBLISHED_QUERY_WINDOW = 16
"""Last embeddings of the published calibration's query, whatever the readout's own window."""


class StreamState(NamedTuple):
    """The state after the tokens seen so far."""

    position: int
    """Their number."""
    own: Sequence[BlockState | None]
    """Of the resonant blocks."""
    inner: list[Any] | None
    """Of the backbone's blocks."""


class ResonantModel(LanguageModel):
    """Embedding, resonant blocks, the backbone's layers and head; plus the logits that a readout adds."""

    def __init__(self, config: ResonantConfig, *, vocab_size: int, max_seq_len: int) -> None:
        super().__init__()
        self.config = config
        self.backbone = _backbone(config, vocab_size=vocab_size, max_seq_len=max_seq_len)
        parts = build_parts(config, self.backbone.d_model, vocab_size)
        self.blocks, self.readout, self.infonce = parts.blocks, parts.readout, parts.infonce
        self.needs_targets = config.infonce is not None
        self._resumed: frozenset[str] = frozenset()

    @staticmethod
    def num_extra_parameters(config: ResonantConfig, vocab_size: int) -> int:
        """Return the number of parameters of blocks, readout and contrastive loss, for our own backbone."""
        with torch.device("meta"):
            return num_parameters(*build_parts(config, config.d_model, vocab_size).modules())

    def forward(self, tokens_BT: Tensor, targets_BT: Tensor | None = None) -> ModelOutput:
        """Predict the next token at every position.

        Args:
            tokens_BT: The inputs.
            targets_BT: In training with a contrastive loss, its targets; logits do not depend on them.
        """
        h_BTD, traces = self.states(tokens_BT)
        logits_BTV = self.backbone.head(h_BTD)
        penalty = self._phase_penalty(logits_BTV)
        if self.readout is not None:
            read_BSD = self.read(h_BTD, traces)
            added_BTV = self.readout.logits(
                read_BSD, tokens_BT, self.backbone.head, answer_length=self.answer_length
            )
            logits_BTV = logits_BTV + added_BTV
            if targets_BT is not None:
                penalty = penalty + self._contrast(read_BSD, targets_BT)
        return ModelOutput(logits_BTV, penalty)

    def states(self, tokens_BT: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Return the last hidden states h_BTD, and every block's traces by memory."""
        x_BTD, traces = self.embeddings(tokens_BT)
        return self.backbone.transform(x_BTD), traces

    def embeddings(self, tokens_BT: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Return the embeddings that leave the blocks, x_BTD, and every block's traces by memory."""
        x_BTD = self.backbone.embed(tokens_BT)
        traces = []
        for block in self.resonant_blocks():
            output = block.run(x_BTD)
            x_BTD = x_BTD + output.y_BTD
            traces.append(output.traces)
        return x_BTD, traces

    def stream(self, tokens_BT: Tensor, state: StreamState | None = None) -> tuple[Tensor, StreamState] | None:
        """Return the logits of tokens that continue a sequence, and the state.

        None with a readout: over the trace it reads every past state, and over the state its query and its mask
        need a window of hidden states and tokens, which no state here carries. None, too, with a block that looks
        ahead, and with a Hugging Face backbone.
        """
        if self.readout is not None or not isinstance(self.backbone, BackboneModel):
            return None
        start, own, inner = state or StreamState(0, [None] * len(self.blocks), None)
        x_BTD, last = self.backbone.embed(tokens_BT, start), []
        for block, before in zip(self.resonant_blocks(), own, strict=True):
            found = block.stream(x_BTD, before)
            if found is None:
                return None
            x_BTD = x_BTD + found[0]
            last.append(found[1])
        through = self.backbone.stream_through(x_BTD, inner)
        if through is None:
            return None
        return self.backbone.head(through[0]), StreamState(start + tokens_BT.shape[1], last, through[1])

    def resonant_blocks(self) -> Iterator[AFRBBlock]:
        """Yield the blocks."""
        for block in self.blocks:
            assert isinstance(block, AFRBBlock)
            yield block

    def read(self, h_BTD: Tensor, traces: list[dict[str, Tensor]], query: Query | None = None) -> Tensor:
        """Return what is read from the memories, the mean over blocks and sources; read_BSD, S = T or 1.

        Args:
            h_BTD: What the query is computed from.
            traces: Of every block, by memory.
            query: Another query than the readout's.
        """
        assert self.readout is not None and self.config.readout is not None
        source = self.config.readout.source
        names = ("pvm", "plm") if source == "both" else (source,)
        reads = [self.readout.read(h_BTD, trace[name], query) for trace in traces for name in names]
        return torch.stack(reads).mean(0)

    def _phase_penalty(self, like: Tensor) -> Tensor:
        """Return the weighted mean square of the blocks' φ."""
        penalty, weight = like.new_zeros((), dtype=torch.float32), self.config.phase_alignment_weight
        phases = [block.embedding.phase for block in self.resonant_blocks() if block.embedding is not None]
        squares = [phase.square() for phase in phases if isinstance(phase, Tensor)]
        return penalty + weight * torch.stack(squares).mean() if weight and squares else penalty

    def _contrast(self, read_BSD: Tensor, targets_BT: Tensor) -> Tensor:
        """Return the contrastive loss: what is read at the start of the answer, against the answer's head rows."""
        assert self.infonce is not None and self.config.infonce is not None
        read_BD = at_answer(read_BSD, targets_BT)
        rows_VD = self.backbone.head_VD.to(read_BD.dtype)
        ids_BN = self.infonce.draw_negatives(len(read_BD), len(rows_VD), read_BD.device)
        loss = self.infonce(read_BD, mean_row(rows_VD, targets_BT), rows_VD[ids_BN])
        weighted: Tensor = self.config.infonce.weight * loss
        return weighted

    def on_step_start(self, step: int, draw: Callable[[], Batch]) -> str | None:
        """Set ramps and freezing for `step`, and calibrate the projection if that is due."""
        for block in self.resonant_blocks():
            block.set_step(step)
        if self.readout is None:
            return None
        self.readout.set_step(step)
        if self.infonce is not None:
            self.infonce.frozen = step < self.readout.freeze_steps
        if step == 0 and (self.config.ridge or self.config.infonce):
            check_answers(draw().targets_BT)
        projection, ridge = self.readout.projection, self.config.ridge
        if ridge is None or not isinstance(projection, RidgeProjection) or not projection.pairs_due(step):
            return None
        if step == 0 and "projection" in self._resumed:
            return None  # already calibrated, and maybe trained, before it was loaded
        with torch.no_grad():
            if step == 0:
                for _ in range(ridge.warmup_batches):
                    self(draw().split(CALIBRATION_SEQUENCES)[0].inputs_BT)
            z_ND, e_ND = self._pairs(projection.pairs_due(step), draw)
        found = projection.calibrate(z_ND, e_ND, share=1.0 if step == 0 else RECALIBRATION_SHARE)
        rest = ", ".join(f"{name} {value:.3g}" for name, value in found.items() if name != "pairs")
        return f"[KISS-RIDGE] step {step}: calibrated pvm2emb on {len(z_ND)} pairs, λ = {ridge.l2:g}: {rest}"

    def _pairs(self, count: int, draw: Callable[[], Batch]) -> tuple[Tensor, Tensor]:
        """Return what is read at the start of an answer, and the embedding of its first token, `count` of each."""
        assert self.config.ridge is not None
        rows_VD = self.backbone.head_VD if self.config.ridge.target == "head" else self.backbone.embedding_VD
        reads: list[Tensor] = []
        targets: list[Tensor] = []
        self.train(self.config.ridge.in_training)
        try:
            while sum(map(len, reads)) < count:
                for part in draw().split(CALIBRATION_SEQUENCES):
                    reads.append(at_answer(self._calibration_read(part.inputs_BT), part.targets_BT))
                    first_B1 = answer_start(part.targets_BT).unsqueeze(1)
                    targets.append(rows_VD[part.targets_BT.gather(1, first_B1).squeeze(1)])
        finally:
            self.train()
        return torch.cat(reads)[:count], torch.cat(targets)[:count]

    def _calibration_read(self, tokens_BT: Tensor) -> Tensor:
        """Return what the calibration reads, read_BSD."""
        assert self.config.ridge is not None
        if self.config.ridge.query_of == "hidden":
            return self.read(*self.states(tokens_BT))
        return self.read(*self.embeddings(tokens_BT), MeanQuery(PUBLISHED_QUERY_WINDOW))

    @property
    def frozen_state(self) -> frozenset[str]:
        """A frozen backbone's weights, which stay in their source: only what is trained is saved."""
        if not self.config.is_frozen or self.config.backbone == SCRATCH:
            return frozenset()
        trained = {name for name, value in self.backbone.named_parameters() if value.requires_grad}
        return frozenset(f"backbone.{name}" for name in self.backbone.state_dict() if name not in trained)

    @property
    def state_groups(self) -> dict[str, tuple[str, ...]]:
        """Blocks with their memories, projection, query and contrastive loss; of the backbone what is trained.

        A separate readout head is specific to a task, and starts fresh.
        """
        groups: dict[str, tuple[str, ...]] = {"blocks": ("blocks.",)}
        if self.readout is not None:
            groups |= {"projection": ("readout.projection.",), "query": ("readout.query.",)}
        if self.infonce is not None:
            groups["infonce"] = ("infonce.",)
        if not self.config.is_frozen:
            groups["backbone"] = ("backbone.",)
        elif self.config.train_head:
            groups["head"] = ("backbone.",)
        return groups

    def resumed(self, groups: Collection[str]) -> None:
        """Record what was loaded: a loaded projection is not calibrated before the first step."""
        self._resumed = frozenset(groups)

    @property
    def learning_rate_factors(self) -> dict[str, float]:
        """The factor of every learned ω."""
        factor = self.config.omega_learning_rate_factor
        return {name: factor for name, _ in self.named_parameters() if name.endswith(".embedding.omega")}

    @property
    def no_weight_decay(self) -> frozenset[str]:
        """Parameters frozen, for a while or for good, by a zero gradient: weight decay would still change them."""
        if self.readout is None:
            return frozenset()
        projection = self.readout.projection
        held: tuple[str, ...] = ("readout.separate.", "infonce.") if self.readout.freeze_steps else ()
        if isinstance(projection, RidgeProjection) and projection.unfreeze_step != 0:
            held += ("readout.projection.",)
        return frozenset(name for name, _ in self.named_parameters() if name.startswith(held))

    def load_weights_from(self, role: str, state: Mapping[str, Tensor]) -> None:
        """Load the weights of a pretrained backbone.

        Only as many token and position rows as this model has are loaded; attention weights are skipped if this
        model has no attention.
        """
        if role != "backbone":
            super().load_weights_from(role, state)
        own = self.backbone.state_dict()
        taken = {}
        for name, value in own.items():
            if name not in state or not _begins_as(state[name], value):
                there = tuple(state[name].shape) if name in state else "absent"
                raise ValueError(
                    f"backbone: '{name}' is {there} there and {tuple(value.shape)} here; pretrain it with equal "
                    "sizes and at least as many tokens and positions (task.tokenizer, task.context_length)"
                )
            taken[name] = state[name][: len(value)] if value.ndim else state[name]
        self.backbone.load_state_dict(taken)

    @torch.no_grad()
    def probes(self, tokens_BT: Tensor) -> dict[str, float]:
        """Compute the usage guide's metrics, in evaluation mode; see `resonant.probing`."""
        was_training = self.training
        self.eval()
        try:
            return measure(self, tokens_BT)
        finally:
            self.train(was_training)


def _backbone(config: ResonantConfig, *, vocab_size: int, max_seq_len: int) -> BackboneModel | HuggingFaceBackbone:
    """Return the backbone, before any pretrained weights are loaded."""
    if config.is_hugging_face:
        return load_backbone(
            config.backbone,
            vocab_size=vocab_size,
            max_seq_len=max_seq_len,
            quantisation=config.quantisation,
            dtype=config.backbone_dtype,
            attention=config.attention,
            frozen=config.is_frozen,
            train_head=config.train_head,
            checkpoint_blocks=config.checkpoint_blocks,
        )
    backbone = BackboneModel(config, vocab_size=vocab_size, max_seq_len=max_seq_len)
    backbone.requires_grad_(not config.is_frozen)
    return backbone


def _begins_as(given: Tensor, value: Tensor) -> bool:
    """Return whether a tensor has the shape of `value`, or more rows."""
    if given.ndim != value.ndim or given.shape[1:] != value.shape[1:]:
        return False
    return value.ndim == 0 or len(given) >= len(value)
