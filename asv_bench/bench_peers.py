"""The training loop beside two that train one network at a time.

The networks are the paper's CReLU with s = 0.85 and V'(q*) = 0.7, as wide and deep as in the paper,
on inputs the size of MNIST's. Each figure is a ratio of times taken turn and turn about in one
process, so that whatever else the machine does slows both. Below 1 the loop here is the faster one.
"""

from __future__ import annotations

from importlib import import_module

import sparsity_theory as st
from asv_bench.labels import labelled
from asv_bench.timing import THREADS, median_ratio, seconds

try:
    import torch

    from asv_bench.loops import setting
    from torch_models.networks import DenseEnsemble
    from torch_models.training import Schedule, Training

    MISSING = ""
except ModuleNotFoundError as error:  # the oracle's benchmarks run without torch
    MISSING = str(error)

FEATURES, WIDTH, DEPTH, CLASSES, BATCH = 784, 300, 100, 10, 100
STEPS = 4


class Peers:
    """A step of a stack, divided by its members, over a step of a lone network."""

    params = (("eager", "lightning"), (1, 4))
    param_names = ("peer", "members")

    def setup(self, peer: str, members: int) -> None:
        if MISSING:
            raise NotImplementedError(MISSING)
        try:
            loop = import_module(f"asv_bench.loops.{peer}_loop")
        except ModuleNotFoundError as error:
            raise NotImplementedError(str(error)) from error
        self.members = members
        self.step_of_peer = getattr(loop, f"{peer}_step")
        torch.set_num_threads(THREADS)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
        shape = FEATURES, WIDTH, DEPTH, CLASSES
        dataset = setting.random_dataset((STEPS + 1) * BATCH, FEATURES, CLASSES)
        stack = DenseEnsemble([net] * members, *shape, seeds=range(members), device=device)
        self.training = Training(stack, dataset, Schedule(10**6, setting.LEARNING_RATE, BATCH))
        setting.past_the_first_steps(self.training)
        self.network = setting.lone_network(net, *shape, seed=0).to(device)
        self.batches = setting.shuffled_batches(dataset, BATCH)

    def step(self) -> float:
        """Seconds that a step of ours takes for a network."""
        return sum(seconds(self.training.advance) for _ in range(STEPS)) / STEPS / self.members

    @labelled("step time of a network, ours over peer's", unit="ratio")
    def track_ratio(self, peer: str, members: int) -> float:
        return median_ratio(self.step, lambda: self.step_of_peer(self.network, self.batches))
