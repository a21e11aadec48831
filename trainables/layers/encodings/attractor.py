"""The attractor: a memory of constant size that fades and turns, and how it is added to the output of attention.

    C_t = α C_{t−1} + (W h_t) ⊗ e_t

The published state C is a matrix of S rows and D columns, but e_t repeats one pair (cos φ_t, sin φ_t), so only two
columns differ: S complex numbers s_t = α s_{t−1} + e^{iφ_t} W h_t hold all of it. Row r of C has Re s_r in even
columns and Im s_r in odd ones. That is one phase scan.

Shapes: B batch, T positions, D channels, S complex numbers of a state, H heads, K width of a head.

Source:
    pie-spiral f4f10cd.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.layers.decayed_sum import ScanState, widened
from trainables.layers.encodings.added import SpiralVector
from trainables.layers.encodings.fields import AttractorConfig
from trainables.layers.encodings.phases import PairPhases
from trainables.layers.mixer import ResidualProjection
from trainables.layers.phase_scan import Pair, phase_scan
from trainables.randomness import Constant, Initializer


class AttractorState(nn.Module):
    """s_t at every position: a phase scan of W h_t with the phases of a spiral.

    Args:
        config: Policy of the decay and constant of the phases.
        d_model: Channels D of the input.
    """

    carried_2S: Tensor
    """State after the last sequence of the last training batch, real and imaginary parts, if it is carried on."""

    def __init__(self, config: AttractorConfig, d_model: int) -> None:
        super().__init__()
        if config.constant == "multi":
            raise ValueError(
                "constant=multi has a phase for each pair of channels, but an attractor turns as a whole"
            )
        self.config, self.d_model = config, d_model
        self.width = config.state_width or d_model
        self.write = nn.Linear(d_model, self.width)
        self.phases = PairPhases(config.phases, 1)
        start = math.log(config.decay / (1 - config.decay))
        self.decay_logit = nn.Parameter(torch.tensor(start)) if config.policy == "learned" else None
        self.initializers: dict[str, Initializer] = {"decay_logit": Constant(start)}
        if config.carried:
            self.register_buffer("carried_2S", torch.zeros(2, self.width))

    def forward(self, h_BTD: Tensor) -> Pair:
        """Return the states of a sequence, (B, T, S) or, if positions see the final one, (B, 1, S)."""
        seq_len = h_BTD.shape[1]
        state = self._of_batch_before(h_BTD) if self.config.carried else None
        s_BTS, state = self._scan(h_BTD, torch.arange(seq_len, device=h_BTD.device), state)
        if self.config.carried and self.training:
            self.carried_2S = state.memory[:, -1].detach().to(self.carried_2S.dtype)
        if self.config.read == "final":
            return Pair(s_BTS.re[:, -1:], s_BTS.im[:, -1:])
        return s_BTS

    def stream(self, h_BTD: Tensor, start: int, state: ScanState | None) -> tuple[Pair, ScanState]:
        """Return the states at positions from `start` on, and what is carried to the next ones."""
        position_T = torch.arange(start, start + h_BTD.shape[1], device=h_BTD.device)
        return self._scan(h_BTD, position_T, state)

    def _scan(self, h_BTD: Tensor, position_T: Tensor, state: ScanState | None) -> tuple[Pair, ScanState]:
        written_BTS = widened(self.write(h_BTD))
        phase_T1 = self.phases(position_T).to(written_BTS.dtype)
        log_decay = self.log_decay(len(position_T))
        return phase_scan(written_BTS, log_decay=log_decay, write_phase=phase_T1, state=state)

    def log_decay(self, seq_len: int) -> float | Tensor:
        """Return ln α, for an input of `seq_len` positions."""
        match self.config.policy:
            case "fixed":
                return math.log(self.config.decay)
            case "exp_c_over_n":
                return -self.config.c / (self.config.length or seq_len)
            case "learned":
                assert self.decay_logit is not None
                return functional.logsigmoid(self.decay_logit)

    def _of_batch_before(self, h_BTD: Tensor) -> ScanState:
        """Return the carried state, with which every sequence starts."""
        carried_2BS = self.carried_2S.unsqueeze(1).expand(-1, h_BTD.shape[0], -1)
        return ScanState(carried_2BS.to(torch.promote_types(h_BTD.dtype, torch.float32)))

    def reference(self, h_BTD: Tensor) -> Tensor:
        """Return the published matrices C_t, (B, T, S, D), one position after the other, nothing being carried."""
        encode = SpiralVector(self.config.phases, self.d_model).to(h_BTD.device)
        e_TD = encode(torch.arange(h_BTD.shape[1], device=h_BTD.device), h_BTD.dtype)
        decay = torch.as_tensor(self.log_decay(h_BTD.shape[1]), dtype=h_BTD.dtype).exp()
        return outer_product_states(self.write(h_BTD), e_TD.expand(len(h_BTD), -1, -1), decay)


def outer_product_states(written_BTS: Tensor, e_BTD: Tensor, decay: Tensor | float) -> Tensor:
    """Return C_t = α C_{t−1} + w_t ⊗ e_t at every position, (B, T, S, D), from the definition, for any vectors."""
    states: list[Tensor] = []
    state_BSD = torch.zeros_like(written_BTS[:, 0, :, None] * e_BTD[:, 0, None, :])
    for written_BS, e_BD in zip(written_BTS.unbind(1), e_BTD.unbind(1), strict=True):
        state_BSD = decay * state_BSD + written_BS.unsqueeze(-1) * e_BD.unsqueeze(-2)
        states.append(state_BSD)
    return torch.stack(states, dim=1)


class Injection(nn.Module):
    """How a state is added to the output of attention."""

    def forward(self, y_BTD: Tensor, state: Pair) -> Tensor:
        """Return what is added to `y_BTD`.

        Args:
            y_BTD: Output of attention.
            state: (B, T, S), or (B, 1, S) if all positions see the same.
        """
        raise NotImplementedError

    def reference(self, y_BTD: Tensor, c_BTSD: Tensor) -> Tensor:
        """Return the same from the published matrices."""
        raise NotImplementedError


class CrossAttention(Injection):
    """Attention of every position over the S rows of its state.

    All rows are combinations of two vectors, 1 in even or in odd columns: keys and values are computed of those two
    (P = 2 in shapes), and the state, (S, D) at every position, is never formed.

    Args:
        d_model: Channels D.
        num_heads: Heads H.
        init_std: Initial standard deviation of the output projection.
        bias: Biases of queries and output; one of keys or of values would change nothing that these do not.
        dropout: Of the attention weights.
    """

    def __init__(self, d_model: int, num_heads: int, *, init_std: float, bias: bool, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(d_model, d_model, bias=bias)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.value = nn.Linear(d_model, d_model, bias=False)
        self.out = ResidualProjection(d_model, d_model, init_std=init_std, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, y_BTD: Tensor, state: Pair) -> Tensor:
        """Return what is added to `y_BTD`, of which the queries are made."""
        s_PBTS = torch.stack(state).to(y_BTD.dtype).expand(-1, -1, y_BTD.shape[1], -1)
        q_BTHK = self._heads(self.query(y_BTD)) / math.sqrt(y_BTD.shape[-1] // self.num_heads)
        asked_PBTH = torch.einsum("bthk,phk->pbth", q_BTHK, self._of_columns(self.key))
        weight_BTHS = self.dropout(torch.einsum("pbth,pbts->bths", asked_PBTH, s_PBTS).softmax(-1))
        found_PBTH = torch.einsum("bths,pbts->pbth", weight_BTHS, s_PBTS)
        mixed_BTHK = torch.einsum("pbth,phk->bthk", found_PBTH, self._of_columns(self.value))
        added_BTD: Tensor = self.out(mixed_BTHK.flatten(-2))
        return added_BTD

    def _heads(self, x_xD: Tensor) -> Tensor:
        return x_xD.unflatten(-1, (self.num_heads, -1))

    def _of_columns(self, linear: nn.Linear) -> Tensor:
        """Return the images of the vectors that are 1 in even and in odd columns, (P, H, K)."""
        return torch.stack([self._heads(linear.weight[:, first::2].sum(-1)) for first in (0, 1)])

    def reference(self, y_BTD: Tensor, c_BTSD: Tensor) -> Tensor:
        """Attend over the rows of the published matrices."""
        q_BTHK, k_BTSHK, v_BTSHK = (
            self._heads(linear(x)) for linear, x in ((self.query, y_BTD), (self.key, c_BTSD), (self.value, c_BTSD))
        )
        score_BTHS = torch.einsum("bthk,btshk->bths", q_BTHK, k_BTSHK) / math.sqrt(q_BTHK.shape[-1])
        mixed_BTHK = torch.einsum("bths,btshk->bthk", score_BTHS.softmax(-1), v_BTSHK)
        added_BTD: Tensor = self.out(mixed_BTHK.flatten(-2))
        return added_BTD


class MeanRow(Injection):
    """A linear map of the mean row of the state, which has two different numbers: what it can add has rank 2.

    Args:
        d_model: Channels D.
        init_std: Initial standard deviation of the map.
        bias: Whether the map has one.
    """

    def __init__(self, d_model: int, *, init_std: float, bias: bool) -> None:
        super().__init__()
        self.out = ResidualProjection(d_model, d_model, init_std=init_std, bias=bias)

    def forward(self, y_BTD: Tensor, state: Pair) -> Tensor:
        """Return what is added to `y_BTD`."""
        d_model = y_BTD.shape[-1]
        mean_BT2 = torch.stack(state).mean(-1).movedim(0, -1).to(y_BTD.dtype)
        row_BTD = mean_BT2.repeat(1, 1, -(-d_model // 2))[..., :d_model]
        added_BTD: Tensor = self.out(row_BTD)
        return added_BTD

    def reference(self, y_BTD: Tensor, c_BTSD: Tensor) -> Tensor:
        """Map the mean of the rows of the published matrices."""
        added_BTD: Tensor = self.out(c_BTSD.mean(-2))
        return added_BTD


class StateProjection(Injection):
    """A linear map of the whole state: what a memory of this size could add at most, unpublished.

    Args:
        d_model: Channels D.
        state_width: Complex numbers S of a state.
        init_std: Initial standard deviation of the map.
        bias: Whether the map has one.
    """

    def __init__(self, d_model: int, state_width: int, *, init_std: float, bias: bool) -> None:
        super().__init__()
        self.out = ResidualProjection(2 * state_width, d_model, init_std=init_std, bias=bias)

    def forward(self, y_BTD: Tensor, state: Pair) -> Tensor:
        """Return what is added to `y_BTD`."""
        added_BTD: Tensor = self.out(state.joined().to(y_BTD.dtype))
        return added_BTD

    def reference(self, y_BTD: Tensor, c_BTSD: Tensor) -> Tensor:
        """Map the first even and the first odd column of the published matrices."""
        added_BTD: Tensor = self.out(torch.cat((c_BTSD[..., 0], c_BTSD[..., 1]), dim=-1))
        return added_BTD


class Attractor(nn.Module):
    """What an attractor adds to the output of attention.

    Args:
        config: All fields.
        d_model: Channels D; must be even, if the published matrices are to be formed.
        num_heads: Heads of a cross-attention.
        init_std: Initial standard deviation of the last map.
        bias: Biases of the injection; the map into the state has one, as published.
        dropout: Of the weights of a cross-attention.
    """

    def __init__(
        self,
        config: AttractorConfig,
        d_model: int,
        num_heads: int,
        *,
        init_std: float,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.state = AttractorState(config, d_model)
        self.injection: Injection
        match config.injection:
            case "cross_attention":
                self.injection = CrossAttention(d_model, num_heads, init_std=init_std, bias=bias, dropout=dropout)
            case "residual":
                self.injection = MeanRow(d_model, init_std=init_std, bias=bias)
            case "projection":
                self.injection = StateProjection(d_model, self.state.width, init_std=init_std, bias=bias)

    def forward(self, h_BTD: Tensor, y_BTD: Tensor) -> Tensor:
        """Return what is added at every position.

        Args:
            h_BTD: Input of attention, which is written into the state.
            y_BTD: Output of attention.
        """
        added_BTD: Tensor = self.injection(y_BTD, self.state(h_BTD))
        return added_BTD.expand_as(y_BTD)

    def stream(
        self, h_BTD: Tensor, y_BTD: Tensor, start: int, state: ScanState | None
    ) -> tuple[Tensor, ScanState] | None:
        """Return the same at positions from `start` on, and the state; None if that needs the whole input."""
        if self.state.config.needs_whole_input:
            return None
        found, state = self.state.stream(h_BTD, start, state)
        added_BTD: Tensor = self.injection(y_BTD, found)
        return added_BTD, state

    def reference(self, h_BTD: Tensor, y_BTD: Tensor) -> Tensor:
        """Return the same from the published matrices."""
        c_BTSD = self.state.reference(h_BTD)
        if self.state.config.read == "final":
            c_BTSD = c_BTSD[:, -1:].expand(-1, y_BTD.shape[1], -1, -1)
        added_BTD: Tensor = self.injection.reference(y_BTD, c_BTSD)
        return added_BTD
