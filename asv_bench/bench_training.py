"""The training loop: what a step of a stack of networks costs, and how much it gets done.

The networks are the paper's CReLU with s = 0.85 and V'(q*) = 0.7, as wide as the paper's and less
deep, on inputs the size of scikit-learn's digits. They run on the CUDA device if there is one,
else on one thread of the CPU, so compare results of one machine only. Each run of the loop ends by
measuring the validation set, which is a single sample here.

asv takes larger numbers for worse ones. That is right for times; of the two throughputs a fall is
what matters, and the options given in CONTRIBUTING.md leave them out of comparisons.
"""

from __future__ import annotations

from time import perf_counter

import sparsity_theory as st
from asv_bench.labels import labelled

try:
    import torch

    from torch_models.data import Dataset
    from torch_models.networks import DenseEnsemble
    from torch_models.training import train

    MISSING = ""
except ModuleNotFoundError as error:  # the oracle's benchmarks run without torch
    MISSING = str(error)

WIDTH, DEPTH, CLASSES, FEATURES, BATCH = 300, 10, 10, 64, 32
STEPS = 5
ROUNDS = 3
THREADS = 1  # with more, a busy machine makes them wait for each other: up to 17 times slower
LEARNING_RATE = 1e-4  # so small that the networks stay as they are, however often they are trained


class Training:
    """Plain SGD on a lone network and on a stack of six."""

    params = (1, 6)
    param_names = ("members",)
    number = 1
    timeout = 300

    def setup(self, members: int) -> None:
        if MISSING:
            raise NotImplementedError(MISSING)
        torch.set_num_threads(THREADS)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        phi = st.ClippedReLU.for_sparsity(0.85, slope=0.7)
        nets = [st.edge_of_chaos(phi)] * members
        self.ensemble = DenseEnsemble(
            nets, FEATURES, WIDTH, DEPTH, CLASSES, seeds=range(members), device=device
        )
        self.dataset = random_dataset(STEPS * BATCH)
        self.train(random_dataset(BATCH))  # the first step also loads the kernels

    def train(self, dataset: Dataset) -> None:
        """One pass over the data, steps as large as the batch."""
        train(
            self.ensemble, dataset, epochs=1, learning_rate=LEARNING_RATE, batch_size=BATCH, seed=0
        )

    def steps_per_second(self) -> float:
        """The best of a few rounds: anything else that runs on the machine only slows it."""
        seconds = []
        for _ in range(ROUNDS):
            start = perf_counter()
            self.train(self.dataset)
            seconds.append(perf_counter() - start)
        return STEPS / min(seconds)

    @labelled("5 training steps, batch 32")
    def time_steps(self, members: int) -> None:
        self.train(self.dataset)

    @labelled("training steps per second, batch 32", unit="steps/s")
    def track_steps_per_second(self, members: int) -> float:
        return self.steps_per_second()

    @labelled("members x samples trained per second, batch 32", unit="members x samples/s")
    def track_samples_per_second(self, members: int) -> float:
        return self.steps_per_second() * BATCH * members


def random_dataset(samples: int) -> Dataset:
    """Noise of variance one with random labels: the loop does not care what it learns."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, FEATURES, generator=generator)
    y = torch.randint(CLASSES, (samples,), generator=generator)
    return Dataset(
        name="noise",
        source="random numbers",
        train_x=x,
        train_y=y,
        validation_x=x[:1],
        validation_y=y[:1],
        test_x=x[:1],
        test_y=y[:1],
        classes=CLASSES,
        image_shape=(1, 1, FEATURES),
        checksums={},
    )
