"""The memory that stacks of dense networks take in training, known before any of it is taken."""

from __future__ import annotations

from dataclasses import dataclass

import torch

import sparsity_theory as st
from torch_models.evaluation import EVALUATION_BATCH
from torch_models.networks import DenseEnsemble
from torch_models.step_memory import StepMemory


@dataclass(frozen=True)
class MemberMemory:
    """Bytes that one member of a stack takes while it trains.

    Attributes:
        parameters: weights and biases.
        step: what a training step writes: what enters every layer, its error, and two gradients.
        evaluation: what evaluating takes meanwhile: a batch of inputs, and five times its size in
            activations.
        copies: a second set of parameters. When a member diverges, those that go on are copied.
    """

    parameters: int
    step: int
    evaluation: int
    copies: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.parameters + self.step + self.evaluation + self.copies

    def largest_stack(self, free: int) -> int:
        """How many members fit into ``free`` bytes."""
        return free // self.total


def member_memory(
    in_features: int,
    width: int,
    depth: int,
    out_features: int,
    batch_size: int,
    dtype: torch.dtype = torch.float32,
) -> MemberMemory:
    """Plan a stack as `DenseEnsemble` and `Schedule` take these; nothing is allocated.

    Raises:
        ValueError: if a size is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    net = st.edge_of_chaos(st.ShiftedReLU(0.0))  # any: its kind takes no memory
    member = DenseEnsemble([net], in_features, width, depth, out_features, [0], dtype, "meta")
    parameters = sum(parameter.nbytes for parameter in member.parameters())
    rows = EVALUATION_BATCH * member.weights[0].element_size()
    return MemberMemory(
        parameters,
        step=StepMemory.of(member, batch_size).nbytes,
        evaluation=rows * (in_features + 5 * max(width, out_features)),
        copies=parameters,
    )
