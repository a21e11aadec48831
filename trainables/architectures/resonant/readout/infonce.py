"""InfoNCE: what is read from the memory must be closer to the target's embedding than to random ones.

Source:
    van den Oord et al. (2018), arXiv 1807.03748; attention-free-phase-blocks, `train.py` (`compute_loss`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.resonant.fields import Embedding
from trainables.architectures.resonant.readout.freezing import zero_gradient_if
from trainables.randomness import Initializer, Normal


class InfoNCE(nn.Module):
    """Cross-entropy of the correct row of the language-model head among random ones, by cosine similarity.

    While `frozen` is set, its own parameters are not trained (see `freezing`); its input still gets gradients.

    Args:
        d_model: Width D of reads and of the head's rows.
        dim: Width K in which they are compared.
        num_negatives: Random rows N per example.
        temperature: Divides the cosines.
        embedding: How a row of the head is mapped to K numbers: `projected` by a linear layer, or
            `sliced` to its first K numbers, as published.

    Raises:
        ValueError: If rows cannot be sliced because `dim` is above `d_model`.
    """

    def __init__(
        self,
        d_model: int,
        *,
        dim: int = 512,
        num_negatives: int = 128,
        temperature: float = 0.08,
        embedding: Embedding = "projected",
    ) -> None:
        super().__init__()
        if embedding == "sliced" and dim > d_model:
            raise ValueError(f"infonce.dim={dim} entries cannot be sliced from rows of d_model={d_model} numbers")
        self.dim, self.num_negatives, self.temperature = dim, num_negatives, temperature
        self.frozen = False
        glorot = Normal(math.sqrt(2 / (d_model + dim)))
        self.compress_DK = nn.Parameter(torch.empty(d_model, dim))
        self.embed_DK = nn.Parameter(torch.empty(d_model, dim)) if embedding == "projected" else None
        self.initializers: dict[str, Initializer] = {"compress_DK": glorot, "embed_DK": glorot}

    def draw_negatives(self, batch_size: int, vocab_size: int, device: torch.device | str) -> Tensor:
        """Draw ids_BN uniformly over the vocabulary, from torch's default generator.

        As published a negative may equal a target, by chance, as often as any other id.
        """
        return torch.randint(vocab_size, (batch_size, self.num_negatives), device=device)

    def forward(self, read_BD: Tensor, positive_BD: Tensor, negative_BND: Tensor) -> Tensor:
        """Return the loss, nats an example; ln(1 + N) if positive and negatives are equal.

        Args:
            read_BD: What is read from the memory.
            positive_BD: The positive: the mean of the head's rows over the answer's tokens.
            negative_BND: The negatives: rows of the head at `draw_negatives`.
        """
        code_BK = functional.normalize(read_BD @ zero_gradient_if(self.compress_DK, frozen=self.frozen), dim=-1)
        candidate_BMD = torch.cat((positive_BD[:, None], negative_BND), dim=1)
        if self.embed_DK is None:
            candidate_BMK = candidate_BMD[..., : self.dim]
        else:
            candidate_BMK = candidate_BMD @ zero_gradient_if(self.embed_DK, frozen=self.frozen)
        cosine_BM = (functional.normalize(candidate_BMK, dim=-1) @ code_BK[..., None]).squeeze(-1)
        index_B = torch.zeros(len(read_BD), dtype=torch.long, device=read_BD.device)
        return functional.cross_entropy(cosine_BM / self.temperature, index_B)
