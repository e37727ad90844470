"""A pre-norm transformer that predicts the next token, its MLPs with any activation.

A block is h <- h + attention(norm(h)), h <- h + MLP(norm(h)). Queries are zero at initialization,
so that attention starts as an average over the tokens seen (`sparsity_theory.Transformer`).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sparsity_theory import Transformer
from torch_models.networks.activations import SparseActivation
from torch_models.networks.initialization import draw_
from torch_models.networks.pre_norm import pre_norm_


class Attention(nn.Module):
    """Multi-head self-attention without biases.

    Args:
        width: features, a multiple of ``heads``.
        heads: number of heads.
        causal: whether a token sees itself and those before it only.
    """

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.projections = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, n: Tensor) -> Tensor:
        """What every token gathers, (batch, tokens, width), for n of that shape."""
        parts = self.projections(n).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        gathered = F.scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        found: Tensor = self.output(gathered.transpose(1, 2).flatten(-2))
        return found

    def initialize_(self, variance: float, generator: torch.Generator) -> None:
        """Queries 0; keys and values N(0, 1 / width); the output N(0, variance / width)."""
        width = self.output.in_features
        draw_(self.projections.weight, 1 / width, generator)
        with torch.no_grad():
            self.projections.weight[:width].zero_()
        draw_(self.output.weight, variance / width, generator)


class Block(nn.Module):
    """Attention and an MLP, each behind a normalization and added to the stream."""

    def __init__(
        self, net: Transformer, width: int, heads: int, hidden: int, activation: nn.Module
    ) -> None:
        super().__init__()
        normalization = {"rms": nn.RMSNorm, "layer": nn.LayerNorm}[net.mlp.norm]
        self.attention_norm, self.mlp_norm = normalization(width), normalization(width)
        self.attention = Attention(width, heads, net.causal)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), activation, nn.Linear(hidden, width))

    def forward(self, h: Tensor) -> Tensor:
        """The stream behind the block, (batch, tokens, width), from that before it."""
        h = h + self.attention(self.attention_norm(h))
        added: Tensor = self.mlp(self.mlp_norm(h))
        return h + added


class LanguageModel(nn.Module):
    """A stack of blocks between an embedding of tokens and positions and a readout.

    Everything is drawn from ``seed``: the stream starts with variance 1, the blocks as ``net``
    says, with its alpha in the weights, and the readout gives logits of variance 1.

    Args:
        net: the initialization.
        vocabulary: number of tokens.
        width, depth, heads: features of the stream (a multiple of ``heads``), blocks and heads.
        context: tokens in a row, at most.
        seed: of the weights.
        hidden: units in an MLP; 4 ``width`` where not given.
        activation: phi as a module, where it is none of the four kinds, such as ``nn.GELU()``.

    Raises:
        ValueError: if net is no `Transformer`, a size is below 1, ``width`` is no multiple of
            ``heads``, or the activation is not ``net``'s.
    """

    def __init__(
        self,
        net: Transformer,
        vocabulary: int,
        width: int,
        depth: int,
        heads: int,
        context: int,
        seed: int = 0,
        hidden: int | None = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(net, Transformer):
            raise ValueError(f"net must be a Transformer, got {net!r}")
        units = 4 * width if hidden is None else hidden
        sizes = {"vocabulary": vocabulary, "width": width, "depth": depth, "heads": heads}
        for name, size in {**sizes, "context": context, "hidden": units}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if width % heads:
            raise ValueError(f"width must be a multiple of heads = {heads}, got {width}")
        phi = SparseActivation.from_theory(net.mlp.activation) if activation is None else activation
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(
            *(Block(net, width, heads, units, copy.deepcopy(phi)) for _ in range(depth))
        )
        self.norm = nn.RMSNorm(width)
        self.readout = nn.Linear(width, vocabulary, bias=False)
        self._initialize_(net, torch.Generator().manual_seed(seed))

    def _initialize_(self, net: Transformer, generator: torch.Generator) -> None:
        draw_(self.tokens.weight, 0.5, generator)
        draw_(self.positions.weight, 0.5, generator)
        pre_norm_(self.blocks, net.mlp, generator)
        attention = float(net.mlp.alpha) ** 2 * float(net.sigma_a2)
        for block in self.blocks:
            assert isinstance(block, Block)
            block.attention.initialize_(attention, generator)
        draw_(self.readout.weight, 1 / self.readout.in_features, generator)

    def embed(self, tokens: Tensor) -> Tensor:
        """The stream before the first block, (batch, tokens, width).

        Raises:
            ValueError: for more tokens in a row than ``context``.
        """
        context = self.positions.num_embeddings
        if tokens.shape[-1] > context:
            raise ValueError(f"tokens must be at most {context} in a row, got {tokens.shape[-1]}")
        places = torch.arange(tokens.shape[-1], device=tokens.device)
        embedded: Tensor = self.tokens(tokens) + self.positions(places)
        return embedded

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, (batch, tokens, vocabulary), for tokens (batch, tokens)."""
        logits: Tensor = self.readout(self.norm(self.blocks(self.embed(tokens))))
        return logits
