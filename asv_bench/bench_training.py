"""The training loop: what a step of an ensemble costs, in itself and over its matrix products.

The networks are the paper's CReLU with s = 0.85 and V'(q*) = 0.7 at the sizes of the budgets
"full" (300 wide, 100 deep) and "short" (100 wide, 40 deep), or members of four rows, on MNIST-sized
noise in batches of 100. On a CPU they run on one thread, or on as many as OMP_NUM_THREADS says.
Times hold for one machine only; ratios can be compared between machines.

asv takes larger numbers for worse ones. That is right for times and ratios, but not for the
throughput; the option given in CONTRIBUTING.md leaves it out.
"""

from __future__ import annotations

from typing import Any

import sparsity_theory as st
from asv_bench.labels import labelled
from asv_bench.timing import ROUNDS, THREADS, clock, median_ratio, seconds

try:
    import torch
    from torch import Tensor

    from torch_models.measurements import noise_training
    from torch_models.measurements.matrix_products import MatrixProducts
    from torch_models.measurements.noise_training import (
        LEARNING_RATE,
        past_the_first_steps,
        random_dataset,
    )
    from torch_models.networks.dense import DenseEnsemble
    from torch_models.networks.observe import gradient_growth, observe
    from torch_models.training.backpropagation import backpropagation
    from torch_models.training.loop import Training

    MISSING = ""
except ModuleNotFoundError as error:  # the benchmarks of the theory run without torch
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
ENSEMBLES: dict[str, tuple[list[Any], int, int]] = {
    "1 x 300 x 100": ([CRELU], 300, 100),
    "4 x 300 x 100": ([CRELU] * 4, 300, 100),
    "4 rows x 300 x 100": (ROWS, 300, 100),
    "3 x 100 x 40": ([CRELU] * 3, 100, 40),
}
"""Activations, width and depth, by members x width x depth."""

SINGLE_AND_SMALL = ("1 x 300 x 100", "3 x 100 x 40")
"""A network of the paper's size, and a stack that has the most beside its products."""


class TrainingStep:
    """Plain SGD on an ensemble, past the steps whose gradients are recorded."""

    params = (tuple(ENSEMBLES), ("cpu", "cuda"))
    param_names = ("ensemble", "device")
    timer = staticmethod(clock)
    number = 1
    timeout = 600

    def setup(self, ensemble: str, device: str) -> None:
        self.ensemble = build(ensemble, device)
        self.training = in_training(self.ensemble, BATCHES)
        past_the_first_steps(self.training)

    @labelled("a training step, batch 100")
    def time_step(self, ensemble: str, device: str) -> None:
        self.training.advance()

    @labelled("a training step over its matrix products alone", unit="ratio")
    def track_step_over_its_products(self, ensemble: str, device: str) -> float:
        products = MatrixProducts(self.ensemble, BATCH)
        return median_ratio(lambda: seconds(self.training.advance), lambda: seconds(products.step))

    @labelled("members x samples trained per second", unit="members x samples/s")
    def track_samples_per_second(self, ensemble: str, device: str) -> float:
        best = min(seconds(self.training.advance) for _ in range(ROUNDS))
        return self.ensemble.members * BATCH / best


class PartsOfAStep:
    """What a step takes beyond its matrix products, in shares of the time of all of these."""

    params = (SINGLE_AND_SMALL, ("forward and backward pass", "update", "all"))
    param_names = ("ensemble", "part")
    timeout = 600

    def setup(self, ensemble: str, part: str) -> None:
        self.ensemble = build(ensemble, "cpu")
        self.training = in_training(self.ensemble, BATCHES)
        past_the_first_steps(self.training)

    @labelled("time of a part of a step beyond its products, over all products", unit="ratio")
    def track_beyond_products(self, ensemble: str, part: str) -> float:
        step, products = backpropagation(self.ensemble), MatrixProducts(self.ensemble, BATCH)
        dataset = self.training.dataset
        x, y = dataset.train_x[:BATCH], dataset.train_y[:BATCH]
        ours, theirs = {
            "forward and backward pass": (lambda: step.forward_backward(x, y), products.passes),
            "update": (lambda: step.sgd_step(LEARNING_RATE), products.gradients_of_later_layers),
            "all": (self.training.advance, products.step),
        }[part]
        step.forward_backward(x, y)

        def beyond() -> float:
            return seconds(ours) - seconds(theirs)

        return median_ratio(beyond, lambda: seconds(products.step))


class DeferredUpdate:
    """Weights updated in the next forward pass, where they are read anyway, over a pass of its own.

    Products, phi and updates of the layers of equal width alone.
    """

    params = SINGLE_AND_SMALL
    param_names = ("ensemble",)
    timeout = 600

    def setup(self, ensemble: str) -> None:
        weights = build(ensemble, "cpu").weights[1:-1]
        self.weights = [weight.detach() for weight in weights]
        members, width = self.weights[0].shape[:2]
        shape = (len(self.weights) + 1, members, BATCH, width)
        self.inputs, self.last_inputs, self.errors = (list(torch.randn(shape)) for _ in range(3))
        self.gradient = torch.empty_like(self.weights[0])

    def update(self, layer: int, inputs: list[Tensor]) -> None:
        torch.bmm(self.errors[layer + 1].mT, inputs[layer], out=self.gradient)
        self.weights[layer].sub_(self.gradient, alpha=LEARNING_RATE)

    def forward(self, layer: int) -> None:
        x, out = self.inputs[layer], self.inputs[layer + 1]
        torch.bmm(x, self.weights[layer].mT, out=out).clamp_(-1.0, 1.0)

    def backward(self) -> None:
        for layer in reversed(range(len(self.weights))):
            error = torch.bmm(self.errors[layer + 1], self.weights[layer], out=self.errors[layer])
            error.clamp_(-1.0, 1.0)

    def separate(self) -> None:
        for layer in range(len(self.weights)):
            self.forward(layer)
        self.backward()
        for layer in range(len(self.weights)):
            self.update(layer, self.inputs)

    def deferred(self) -> None:
        """By the inputs of the step before, which are kept."""
        self.inputs, self.last_inputs = self.last_inputs, self.inputs
        for layer in range(len(self.weights)):
            self.update(layer, self.last_inputs)
            self.forward(layer)
        self.backward()

    @labelled("a step whose update is deferred over one whose update is not", unit="ratio")
    def track_deferred_over_separate(self, ensemble: str) -> float:
        return median_ratio(lambda: seconds(self.deferred), lambda: seconds(self.separate))


class WeightUpdate:
    """Two ways to subtract the gradient, a product, from the weights of a hundred layers."""

    def setup(self) -> None:
        layers = build("1 x 300 x 100", "cpu").weights[1:-1]
        self.weights = [weight.detach() for weight in layers]
        self.inputs, self.errors = torch.randn(2, len(layers), 1, BATCH, layers[0].shape[-1])
        self.gradient = torch.empty_like(layers[0])

    def separate(self) -> None:
        """A product into one buffer for all layers, and a subtraction."""
        for weight, x, error in zip(self.weights, self.inputs, self.errors, strict=True):
            torch.bmm(error.mT, x, out=self.gradient)
            weight.sub_(self.gradient, alpha=LEARNING_RATE)

    def fused(self) -> None:
        """``baddbmm_``, which adds the product to the weights."""
        for weight, x, error in zip(self.weights, self.inputs, self.errors, strict=True):
            weight.baddbmm_(error.mT, x, alpha=-LEARNING_RATE)

    @labelled("gradient and subtraction over one fused product", unit="ratio")
    def track_separate_over_fused(self) -> float:
        return median_ratio(lambda: seconds(self.separate), lambda: seconds(self.fused))


class Precision:
    """A step whose matrix products have lower precision, over one in float32."""

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
    """Memory of a training on a CPU, the rest of the process included."""

    params = tuple(ENSEMBLES)
    param_names = ("ensemble",)

    def setup(self, ensemble: str) -> None:
        self.training = in_training(build(ensemble, "cpu"), batches=1)

    @labelled("peak memory of the process in an epoch of one step", unit="bytes")
    def peakmem_epoch(self, ensemble: str) -> None:
        self.training.advance()


class GpuMemory:
    """Memory of a training on a GPU."""

    params = tuple(ENSEMBLES)
    param_names = ("ensemble",)

    def setup(self, ensemble: str) -> None:
        self.training = in_training(build(ensemble, "cuda"), batches=1)

    @labelled("peak memory of the GPU in an epoch of one step", unit="bytes")
    def track_gpu_memory(self, ensemble: str) -> int:
        self.training.advance()
        return torch.cuda.max_memory_allocated()


class Observation:
    """Measurements of random networks."""

    params = (tuple(ENSEMBLES), ("cpu", "cuda"))
    param_names = ("ensemble", "device")
    timer = staticmethod(clock)

    def setup(self, ensemble: str, device: str) -> None:
        self.ensemble = build(ensemble, device)
        self.images = random_dataset(256, FEATURES, CLASSES).train_x

    @labelled("variance and sparsity of every layer on 256 inputs")
    def time_observe(self, ensemble: str, device: str) -> None:
        observe(self.ensemble, self.images)

    @labelled("growth of the gradient from the last layer to the first")
    def time_gradient_growth(self, ensemble: str, device: str) -> None:
        gradient_growth(self.ensemble, self.images[:1])


def build(ensemble: str, device: str) -> DenseEnsemble:
    """The ensemble of that name in ``ENSEMBLES``.

    Raises:
        NotImplementedError: where it cannot run; asv then shows n/a.
    """
    if MISSING:
        raise NotImplementedError(MISSING)
    if device == "cuda" and not torch.cuda.is_available():
        raise NotImplementedError("needs a CUDA device")
    torch.set_num_threads(THREADS)
    activations, width, depth = ENSEMBLES[ensemble]
    nets, seeds = [st.edge_of_chaos(phi) for phi in activations], range(len(activations))
    return DenseEnsemble(nets, FEATURES, width, depth, CLASSES, seeds, device=device)


def in_training(ensemble: DenseEnsemble, batches: int, precision: str = "float32") -> Training:
    """A training before its first step, with this many batches an epoch."""
    return noise_training.in_training(ensemble, BATCH, batches, precision)
