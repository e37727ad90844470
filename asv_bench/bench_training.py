"""The training loop: what a step of a stack of networks costs, and what bounds it.

The networks are the paper's CReLU with s = 0.85 and V'(q*) = 0.7 at the sizes of the budgets
"full" (300 wide, 100 deep) and "short" (100 wide, 40 deep), or members of four rows, on MNIST-sized
noise in batches of 100. On a CPU they run on one thread, or on as many as OMP_NUM_THREADS says.
Times are of one machine only; the ratio is there to be compared between machines.

asv takes larger numbers for worse ones. That is right for times and for the ratio; of the
throughput a fall is what matters, and the option given in CONTRIBUTING.md leaves it out.
"""

from __future__ import annotations

from typing import Any

import sparsity_theory as st
from asv_bench.labels import labelled
from asv_bench.timing import ROUNDS, THREADS, clock, median_ratio, seconds

try:
    import torch

    from asv_bench.loops.matrix_products import MatrixProducts
    from asv_bench.loops.setting import LEARNING_RATE, past_the_first_steps, random_dataset
    from torch_models.networks.dense import DenseEnsemble
    from torch_models.networks.observe import gradient_growth, observe
    from torch_models.training.loop import Schedule, Training

    MISSING = ""
except ModuleNotFoundError as error:  # the oracle's benchmarks run without torch
    MISSING = str(error)

CLASSES, FEATURES, BATCH = 10, 784, 100
BATCHES = 50

CRELU: Any = st.ClippedReLU.for_sparsity(0.85, slope=0.7)
ROWS: list[Any] = [
    CRELU,
    st.ClippedSoftThreshold.for_sparsity(0.8, slope=0.5),
    st.ClippedReLU.for_sparsity(0.7, slope=0.5),
    st.ShiftedReLU.for_sparsity(0.5),
]
STACKS: dict[str, tuple[list[Any], int, int]] = {
    "1 x 300 x 100": ([CRELU], 300, 100),
    "4 x 300 x 100": ([CRELU] * 4, 300, 100),
    "4 rows x 300 x 100": (ROWS, 300, 100),
    "3 x 100 x 40": ([CRELU] * 3, 100, 40),
}
"""Activations, width and depth, by members x width x depth."""


class TrainingStep:
    """Plain SGD on a stack that is past the steps whose gradients are recorded."""

    params = (tuple(STACKS), ("cpu", "cuda"))
    param_names = ("stack", "device")
    timer = staticmethod(clock)
    number = 1
    timeout = 600

    def setup(self, stack: str, device: str) -> None:
        self.ensemble = build(stack, device)
        self.training = in_training(self.ensemble, BATCHES)
        past_the_first_steps(self.training)

    @labelled("a training step, batch 100")
    def time_step(self, stack: str, device: str) -> None:
        self.training.advance()

    @labelled("a training step over its matrix products alone", unit="ratio")
    def track_step_over_its_products(self, stack: str, device: str) -> float:
        products = MatrixProducts(self.ensemble, BATCH)
        return median_ratio(lambda: seconds(self.training.advance), lambda: seconds(products.step))

    @labelled("members x samples trained per second", unit="members x samples/s")
    def track_samples_per_second(self, stack: str, device: str) -> float:
        best = min(seconds(self.training.advance) for _ in range(ROUNDS))
        return self.ensemble.members * BATCH / best


class WeightUpdate:
    """Two ways to take a gradient, a product, from the weights of a hundred layers."""

    def setup(self) -> None:
        layers = build("1 x 300 x 100", "cpu").weights[1:-1]
        self.weights = [weight.detach() for weight in layers]
        self.inputs, self.errors = torch.randn(2, len(layers), 1, BATCH, layers[0].shape[-1])
        self.gradient = torch.empty_like(layers[0])

    def apart(self) -> None:
        """A product into one memory for all layers, and a subtraction."""
        for weight, x, error in zip(self.weights, self.inputs, self.errors, strict=True):
            torch.bmm(error.mT, x, out=self.gradient)
            weight.sub_(self.gradient, alpha=LEARNING_RATE)

    def inside(self) -> None:
        """A product that adds to the weights itself."""
        for weight, x, error in zip(self.weights, self.inputs, self.errors, strict=True):
            weight.baddbmm_(error.mT, x, alpha=-LEARNING_RATE)

    @labelled("gradient and subtraction over a product that adds", unit="ratio")
    def track_apart_over_inside(self) -> float:
        return median_ratio(lambda: seconds(self.apart), lambda: seconds(self.inside))


class Precision:
    """A step whose products are taken in lower precision, beside one in float32."""

    params = (("tf32", "bf16"), ("cpu", "cuda"))
    param_names = ("precision", "device")
    timeout = 600

    def setup(self, precision: str, device: str) -> None:
        if (precision, device) == ("tf32", "cpu"):
            raise NotImplementedError("needs a CUDA device")
        self.lower, self.single = (
            in_training(build("4 x 300 x 100", device), BATCHES, each)
            for each in (precision, "float32")
        )
        for training in (self.lower, self.single):
            past_the_first_steps(training)

    @labelled("a training step over one in float32", unit="ratio")
    def track_step_over_float32(self, precision: str, device: str) -> float:
        return median_ratio(
            lambda: seconds(self.lower.advance), lambda: seconds(self.single.advance)
        )


class Memory:
    """What a stack takes while it trains on a CPU, the rest of the process included."""

    params = tuple(STACKS)
    param_names = ("stack",)

    def setup(self, stack: str) -> None:
        self.training = in_training(build(stack, "cpu"), batches=1)

    @labelled("peak memory of the process in an epoch of one step", unit="bytes")
    def peakmem_epoch(self, stack: str) -> None:
        self.training.advance()


class GpuMemory:
    """What a stack takes while it trains on a GPU."""

    params = tuple(STACKS)
    param_names = ("stack",)

    def setup(self, stack: str) -> None:
        self.training = in_training(build(stack, "cuda"), batches=1)

    @labelled("peak memory of the GPU in an epoch of one step", unit="bytes")
    def track_gpu_memory(self, stack: str) -> int:
        self.training.advance()
        return torch.cuda.max_memory_allocated()


class Observation:
    """What is measured of random networks before they train."""

    params = (tuple(STACKS), ("cpu", "cuda"))
    param_names = ("stack", "device")
    timer = staticmethod(clock)

    def setup(self, stack: str, device: str) -> None:
        self.ensemble = build(stack, device)
        self.images = random_dataset(256, FEATURES, CLASSES).train_x

    @labelled("variance and sparsity of every layer on 256 inputs")
    def time_observe(self, stack: str, device: str) -> None:
        observe(self.ensemble, self.images)

    @labelled("growth of the gradient from the last layer to the first")
    def time_gradient_growth(self, stack: str, device: str) -> None:
        gradient_growth(self.ensemble, self.images[:1])


def build(stack: str, device: str) -> DenseEnsemble:
    """The stack of that name; raises ``NotImplementedError`` where it cannot run."""
    if MISSING:
        raise NotImplementedError(MISSING)
    if device == "cuda" and not torch.cuda.is_available():
        raise NotImplementedError("needs a CUDA device")
    torch.set_num_threads(THREADS)
    activations, width, depth = STACKS[stack]
    nets, seeds = [st.edge_of_chaos(phi) for phi in activations], range(len(activations))
    return DenseEnsemble(nets, FEATURES, width, depth, CLASSES, seeds, device=device)


def in_training(ensemble: DenseEnsemble, batches: int, precision: str = "float32") -> Training:
    """A stack before its first step, with this many batches an epoch."""
    dataset = random_dataset(batches * BATCH, FEATURES, CLASSES)
    return Training(ensemble, dataset, Schedule(10**6, LEARNING_RATE, BATCH, precision=precision))
