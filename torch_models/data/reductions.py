"""Smaller data sets, for those who have less than the paper's time: fewer images, fewer pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, hardshrink

from torch_models.data.dataset import Dataset, normalize_images

ONE_COLOUR = 1e-5
"""Contrast, in units of the image's own, below which averages of an image differ by rounding alone.

Whole grey levels averaged over at most 16 x 16 pixels differ by 3e-5 or not at all.
"""


def subset(dataset: Dataset, train: int, test: int, seed: int = 0) -> Dataset:
    """Keep ``train`` random images to train on, drawn by ``seed``, and the first ``test`` to test.

    The images held out are cut in the proportion of those to train on (at least one stays), and
    ``source`` states all three. The checksums stay those of the whole. Raises ``ValueError`` for
    sizes that are not from 1 to what there is.
    """
    for name, size, whole in (
        ("train", train, len(dataset.train_y)),
        ("test", test, len(dataset.test_y)),
    ):
        if not 1 <= size <= whole:
            raise ValueError(f"{name} must be from 1 to {whole}, got {size}")
    kept = torch.from_numpy(np.random.default_rng(seed).permutation(len(dataset.train_y))[:train])
    held_out = max(1, round(len(dataset.validation_y) * train / len(dataset.train_y)))
    return replace(
        dataset,
        source=(
            f"{dataset.source}; {train:,} of {len(dataset.train_y):,} images to train on by seed "
            f"{seed}, the first {held_out:,} of {len(dataset.validation_y):,} held out and the "
            f"first {test:,} of {len(dataset.test_y):,} to test on"
        ),
        train_x=dataset.train_x[kept],
        train_y=dataset.train_y[kept],
        validation_x=dataset.validation_x[:held_out].clone(),  # a view would keep the whole alive
        validation_y=dataset.validation_y[:held_out].clone(),
        test_x=dataset.test_x[:test].clone(),
        test_y=dataset.test_y[:test].clone(),
    )


def coarsen(dataset: Dataset, factor: int) -> Dataset:
    """Average blocks of ``factor`` x ``factor`` pixels and bring each image back to its variance.

    Raises ``ValueError`` for a factor below 1 or one that does not divide rows and columns, and
    ``DataError`` for an image that averages to one colour.
    """
    channels, rows, columns = dataset.image_shape
    if factor < 1 or rows % factor or columns % factor:
        raise ValueError(
            f"factor must be a positive divisor of {rows} rows and {columns} columns, got {factor}"
        )
    return replace(
        dataset,
        source=f"{dataset.source}; averaged over blocks of {factor} x {factor} pixels",
        train_x=_coarse(dataset.train_x, dataset, factor),
        validation_x=_coarse(dataset.validation_x, dataset, factor),
        test_x=_coarse(dataset.test_x, dataset, factor),
        image_shape=(channels, rows // factor, columns // factor),
    )


def _coarse(x: torch.Tensor, dataset: Dataset, factor: int) -> torch.Tensor:
    averages = avg_pool2d(x.view(-1, *dataset.image_shape), factor).flatten(1)
    # Every image has mean 0, so one that averages to one colour is 0 but for rounding.
    averages = hardshrink(averages, ONE_COLOUR * dataset.variance**0.5)
    return torch.from_numpy(normalize_images(averages.numpy(), dataset.variance))
