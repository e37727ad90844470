"""The memory that stacks of dense networks take in training, known before any of it is taken."""

from __future__ import annotations

from dataclasses import dataclass

import sparsity_theory as st
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import EVALUATION_BATCH
from torch_models.training.precision import check_precision, multiplied
from torch_models.training.step_memory import StepMemory


@dataclass(frozen=True)
class MemberMemory:
    """Bytes that one member of a stack takes while it trains.

    Attributes:
        parameters: weights and biases.
        step: what a training step writes: what enters every layer, its error, and three gradients;
            and the weights once more, if they are multiplied in another precision.
        evaluation: what evaluating takes meanwhile: a batch of inputs, and five times its size in
            activations.
        copies: two more sets of parameters. When a member diverges, those that go on are copied,
            perhaps from a copy; and so are, for their records, those that have ended.
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
    precision: str = "float32",
) -> MemberMemory:
    """Plan a stack as `DenseEnsemble` and `Schedule` take these; nothing is allocated.

    Raises:
        ValueError: if a size is below 1, or there is no such precision.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    check_precision(precision)
    net = st.edge_of_chaos(st.ShiftedReLU(0.0))  # any: its kind takes no memory
    member = DenseEnsemble([net], in_features, width, depth, out_features, [0], device="meta")
    seen = multiplied(member, precision)
    parameters = _parameter_bytes(member)
    copied = 0 if seen is member else _parameter_bytes(seen)
    rows = EVALUATION_BATCH * member.weights[0].element_size()
    return MemberMemory(
        parameters,
        step=StepMemory.of(seen, batch_size).nbytes + copied,
        evaluation=rows * (in_features + 5 * max(width, out_features)),
        copies=2 * parameters,
    )


def _parameter_bytes(stack: DenseEnsemble) -> int:
    return sum(parameter.nbytes for parameter in stack.parameters())
