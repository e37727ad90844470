"""Trainings that are timed: of networks of one row of Table 2, on noise as large as MNIST."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import sparsity_theory as st
from torch_models.data import Dataset
from torch_models.measurements.device_draws import draws_on
from torch_models.networks.dense import DenseEnsemble
from torch_models.training.loop import RECORDED_STEPS, Training
from torch_models.training.schedule import Schedule

LEARNING_RATE = 1e-6
"""So small that the weights hardly change, however many steps are taken."""

Batches = DataLoader[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Shape:
    """Of the networks and their batches; the paper's width and depth, and MNIST's images."""

    width: int = 300
    depth: int = 100
    features: int = 784
    classes: int = 10
    batch: int = 100


def networks(shape: Shape, members: int, device: str) -> DenseEnsemble:
    """CReLU with s = 0.85 and V'(q*) = 0.7, at the edge of chaos."""
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
    return DenseEnsemble(
        [net] * members,
        shape.features,
        shape.width,
        shape.depth,
        shape.classes,
        range(members),
        device=device,
        draw=draws_on(device, seed=0),
    )


def in_training(
    ensemble: DenseEnsemble,
    batch: int,
    batches: int,
    precision: str = "float32",
    kind: type[Training] = Training,
) -> Training:
    """A training before its first step, with this many batches an epoch."""
    dataset = random_dataset(batches * batch, ensemble.in_features, ensemble.out_features)
    return kind(ensemble, dataset, Schedule(10**6, LEARNING_RATE, batch, precision=precision))


def ready(
    ensemble: DenseEnsemble,
    batch: int,
    steps: int,
    precision: str = "float32",
    kind: type[Training] = Training,
) -> Training:
    """A training past its first steps, with at least so many to take before its epoch ends."""
    batches = RECORDED_STEPS + 2 + steps
    return past_the_first_steps(in_training(ensemble, batch, batches, precision, kind))


def past_the_first_steps(training: Training) -> Training:
    """Set a new training past the steps whose gradients it records, and take a step to warm up.

    The first step allocates memory; on a GPU it also loads kernels, and the next is captured.
    """
    training.resume(replace(training.state(), step=RECORDED_STEPS))
    training.advance()
    return training


def random_dataset(samples: int, features: int, classes: int) -> Dataset:
    """Noise of variance one with random labels; one of the samples is held out too."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, features, generator=generator)
    y = torch.randint(classes, (samples,), generator=generator)
    return Dataset(
        name="noise",
        source="random numbers",
        train_x=x,
        train_y=y,
        validation_x=x[:1],
        validation_y=y[:1],
        test_x=x[:1],
        test_y=y[:1],
        classes=classes,
        image_shape=(1, 1, features),
        checksums={},
    )


def shuffled_batches(dataset: Dataset, batch: int) -> Batches:
    """The training set as other loops take it, shuffled in each epoch."""
    return DataLoader(TensorDataset(dataset.train_x, dataset.train_y), batch, shuffle=True)
