"""The memory that training an ensemble of dense networks takes, computed before allocating it."""

from __future__ import annotations

from dataclasses import dataclass

import sparsity_theory as st
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import EVALUATION_BATCH
from torch_models.training.precision import cast_ensemble, check_precision
from torch_models.training.step_memory import StepMemory


@dataclass(frozen=True)
class MemberMemory:
    """Bytes that one member of an ensemble takes while it trains.

    Attributes:
        parameters: weights and biases, and with momentum as much again for their velocity.
        step: the buffers of a training step: the inputs and errors of every layer and three
            gradients; and for bf16 a copy of the weights.
        evaluation: a batch of the validation set, and five times a layer's activations for it.
        copies: two more sets of these: when a member diverges, the remaining ones are copied,
            possibly from an earlier copy, and finished members are copied to be evaluated.
    """

    parameters: int
    step: int
    evaluation: int
    copies: int

    @property
    def total(self) -> int:
        """The sum."""
        return self.parameters + self.step + self.evaluation + self.copies

    def largest_ensemble(self, free: int) -> int:
        """How many members fit into ``free`` bytes."""
        return free // self.total


def member_memory(
    in_features: int,
    width: int,
    depth: int,
    out_features: int,
    batch_size: int,
    precision: str = "float32",
    momentum: float = 0.0,
) -> MemberMemory:
    """The memory of one member, from the arguments of `DenseEnsemble` and `Schedule`.

    Nothing is allocated.

    Raises:
        ValueError: if a size is below 1, or the precision is unknown.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    check_precision(precision)
    net = st.edge_of_chaos(st.ShiftedReLU(0.0))  # any activation takes the same memory
    member = DenseEnsemble([net], in_features, width, depth, out_features, [0], device="meta")
    cast = cast_ensemble(member, precision)
    parameters = _parameter_bytes(member) * (2 if momentum else 1)
    copied = 0 if cast is member else _parameter_bytes(cast)
    rows = EVALUATION_BATCH * member.weights[0].element_size()
    return MemberMemory(
        parameters,
        step=StepMemory.of(cast, batch_size).nbytes + copied,
        evaluation=rows * (in_features + 5 * max(width, out_features)),
        copies=2 * parameters,
    )


def _parameter_bytes(ensemble: DenseEnsemble) -> int:
    return sum(parameter.nbytes for parameter in ensemble.parameters())
