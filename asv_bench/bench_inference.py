"""Inference that uses the zeros of phi(h): what a layer costs, alone and against the dense product.

On one thread of the CPU, so compare results of one machine only. A pass goes through several
layers, whose weights do not all fit into the cache; ``docs/does-sparsity-pay.md`` has times with
weights that are never in the cache.

asv takes larger numbers for worse ones, so the ratio is the time of the sparse layers over that of
the dense ones: below 1, the sparse layers are faster.
"""

from __future__ import annotations

from collections.abc import Sequence

from asv_bench.labels import labelled
from asv_bench.timing import median_ratio, seconds

try:
    import torch
    from torch import nn

    from torch_models.networks.sparse_inference import SparseInputLinear

    MISSING = ""
except ModuleNotFoundError as error:  # the benchmarks of the theory run without torch
    MISSING = str(error)

SPARSITY = 0.85
LAYERS = {300: 100, 2048: 8}
"""Number of layers by width: more than fit into the cache of one core, or of several."""


class SparseInputs:
    """Layers of the paper's width and wider, on inputs of which 85% are zero."""

    params = ((300, 2048), (1, 16))
    param_names = ("width", "batch")
    number = 1
    timeout = 60

    def setup(self, width: int, batch: int) -> None:
        if MISSING:
            raise NotImplementedError(MISSING)
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.dense = [nn.Linear(width, width) for _ in range(LAYERS[width])]
        self.sparse = [SparseInputLinear(layer) for layer in self.dense]
        self.x = torch.randn(batch, width) * (torch.rand(batch, width) >= SPARSITY)
        self.apply(self.sparse)  # the first call also loads the kernels
        self.apply(self.dense)

    def apply(self, layers: Sequence[nn.Module]) -> None:
        """Apply every layer to the same inputs."""
        with torch.inference_mode():
            for layer in layers:
                layer(self.x)

    @labelled("layers with 85% of inputs zero")
    def time_sparse_layers(self, width: int, batch: int) -> None:
        self.apply(self.sparse)

    @labelled("time of sparse layers over that of dense ones, 85% of inputs zero", unit="ratio")
    def track_sparse_over_dense(self, width: int, batch: int) -> float:
        return median_ratio(
            lambda: seconds(lambda: self.apply(self.sparse)),
            lambda: seconds(lambda: self.apply(self.dense)),
        )
