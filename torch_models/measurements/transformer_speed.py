"""Tokens a second of transformers whose MLPs use their zeros, beside the dense ones.

One token passes through the model, as in decoding, without attention to earlier ones: the time is
that of reading weights. Sparse is the second layer of every MLP, a third of a block's weights: the
first has dense inputs, and so has attention.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import sparsity_theory as st
from torch_models.data.text import BYTES
from torch_models.experiments.provenance import commit, hardware, versions
from torch_models.measurements.transformers import Budget, initialization
from torch_models.networks.sparse_inference import with_sparse_inputs
from torch_models.networks.transformer import LanguageModel

SHAPES = ((64, 4), (1024, 4))
"""Width and depth; of the wider one the weights are not in the cache."""

SPARSITIES = (0.5, 0.7, 0.9, 0.95)
ROUNDS = 15
TOKENS = 20
"""Tokens a round, one after the other."""

HEADS = 4


def measure(
    shapes: Sequence[tuple[int, int]] = SHAPES,
    rounds: int = ROUNDS,
    tokens: int = TOKENS,
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """Time random models in float32 on this CPU, with as many threads as torch is set to.

    In every round the dense and the sparse copy of a model take the same tokens in turn. ``ratio``
    is the median over rounds of dense time over sparse time, with its quartiles; ``bound`` what it
    would be if the time of a block were in proportion to the weights that it reads.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    found = []
    for width, depth in shapes:
        for sparsity in SPARSITIES:
            on_step(f"width {width}, s = {sparsity}")
            model = random_model(width, depth, sparsity)
            times = time_both(model, with_sparse_inputs(model), rounds, tokens, clock)
            ratios = [dense / sparse for dense, sparse in times]
            dense, sparse = (statistics.median(each) for each in zip(*times, strict=True))
            found.append(
                {
                    "width": width,
                    "depth": depth,
                    "sparsity": sparsity,
                    "dense_tokens_per_second": round(tokens / dense, 1),
                    "sparse_tokens_per_second": round(tokens / sparse, 1),
                    "ratio": round(statistics.median(ratios), 3),
                    "quartiles": [round(q, 3) for q in statistics.quantiles(ratios)[::2]],
                    "bound": round(12 / (8 + 4 * (1 - sparsity)), 3),
                }
            )
    return {
        "provenance": {"versions": versions(), "hardware": hardware(), "commit": commit()},
        "threads": torch.get_num_threads(),
        "clock": clock.__name__,
        "rounds": rounds,
        "tokens": tokens,
        "models": found,
    }


def random_model(width: int, depth: int, sparsity: float) -> LanguageModel:
    """With a shifted ReLU, at initialization."""
    net = initialization(st.ShiftedReLU.for_sparsity(sparsity), Budget(width=width, depth=depth))
    return LanguageModel(net, BYTES, width, depth, HEADS, context=1)


@torch.inference_mode()
def time_both(
    dense: nn.Module, sparse: nn.Module, rounds: int, tokens: int, clock: Callable[[], float]
) -> list[tuple[float, float]]:
    """Seconds of both, in every round but a first one that is thrown away."""
    times = []
    for turn in range(rounds + 1):
        passed = torch.arange(turn * tokens, (turn + 1) * tokens) % BYTES
        pair = [seconds(model, passed, clock) for model in (dense.eval(), sparse)]
        times.append((pair[0], pair[1]))
    return times[1:]


def seconds(model: nn.Module, tokens: Tensor, clock: Callable[[], float]) -> float:
    """Of one token after the other."""
    start = clock()
    for token in tokens:
        model(token.view(1, 1))
    return clock() - start
