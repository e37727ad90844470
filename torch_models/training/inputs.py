"""The samples of a data set as inputs of an ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch_models.data import Dataset
    from torch_models.networks.ensemble import Ensemble


def inputs_and_labels(
    ensemble: Ensemble, dataset: Dataset, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Rows ``x`` (n, features) of a data set in the ensemble's shape, and labels ``y`` (n,).

    Both are on the ensemble's device; inputs have its dtype, labels are int64.
    """
    inputs = ensemble.shaped(ensemble.as_tensor(x), dataset.image_shape)
    return inputs, y.to(inputs.device, torch.int64)


def check_fit(ensemble: Ensemble, dataset: Dataset) -> None:
    """Raise ``ValueError`` unless every training image has a label that the ensemble can output."""
    if dataset.classes > ensemble.out_features:
        raise ValueError(
            f"dataset {dataset.name!r} has {dataset.classes} classes, the ensemble "
            f"{ensemble.out_features} outputs"
        )
    images, labels = len(dataset.train_x), dataset.train_y
    if not 0 < images == len(labels):
        raise ValueError(
            f"dataset {dataset.name!r} must have a training image and one label for each, got "
            f"{images} images and {len(labels)} labels"
        )
    low, high = labels.min().item(), labels.max().item()
    if low < 0 or high >= dataset.classes:
        raise ValueError(
            f"dataset {dataset.name!r} must have training labels from 0 to {dataset.classes - 1}, "
            f"got {low} to {high}"
        )
