"""The training loop compared with two that train one network at a time.

The networks are the paper's CReLU with s = 0.85 and V'(q*) = 0.7, as wide and deep as in the paper,
on inputs the size of MNIST's. Each figure is a ratio of times: the two are measured interleaved in
one process, so that other load on the machine slows both. Below 1 the loop here is the faster one.
"""

from __future__ import annotations

from importlib import import_module
from statistics import mean

from asv_bench.bench_training import BATCH, MISSING, build, in_training
from asv_bench.labels import labelled
from asv_bench.timing import median_ratio, seconds

if not MISSING:
    import torch

    from torch_models.measurements.noise_training import past_the_first_steps, shuffled_batches

STEPS = 4


class Peers:
    """Step time of an ensemble, divided by its members, over that of a single network."""

    params = (("eager", "lightning"), (1, 4))
    param_names = ("peer", "members")

    def setup(self, peer: str, members: int) -> None:
        if MISSING:
            raise NotImplementedError(MISSING)
        try:
            loop = import_module(f"asv_bench.loops.{peer}_loop")
        except ModuleNotFoundError as error:
            raise NotImplementedError(str(error)) from error
        self.step_of_peer = getattr(loop, f"{peer}_step")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        ensemble = build(f"{members} x 300 x 100", device)
        self.network = ensemble.network(0)
        self.training = in_training(ensemble, STEPS + 1)
        past_the_first_steps(self.training)
        self.batches = shuffled_batches(self.training.dataset, BATCH)

    def step(self) -> float:
        """Seconds of a step of ours, for each member."""
        steps = [seconds(self.training.advance) for _ in range(STEPS)]
        return mean(steps) / self.training.ensemble.members

    @labelled("step time of a network, ours over peer's", unit="ratio")
    def track_ratio(self, peer: str, members: int) -> float:
        return median_ratio(self.step, lambda: self.step_of_peer(self.network, self.batches))
