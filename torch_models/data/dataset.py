"""Data sets of images that are centred and scaled one by one.

So q^0 = |x|^2 / N_0 is the same for all of them: one variance map (Eq. 3) holds for every image,
and the first layer, which keeps its input's variance (App. D), passes q^0 on to the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

HELD_OUT = 0.1
"""Share of the training set held out for validation (Sec. 4 and App. D of the paper)."""

CLASSES = 10
"""Number of classes of every data set."""

BLOCK = 1024
"""Images normalized at a time, which bounds the memory of their float64 copies."""


class DataError(ValueError):
    """Data that cannot be used; the message names the folder or file and what is wrong with it."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images as rows of float32 with |x|^2 / N_0 = variance, labels as int64.

    ``image_shape`` is (channels, rows, columns): ``train_x.view(-1, *image_shape)`` is the input of
    a convolutional network. ``checksums`` holds the ``"md5:..."`` of every file as stored and,
    under the name without ``.gz``, ``.xz`` or ``.bz2``, of its content (or of every array, where
    there are no files). ``source`` says in words where the images come from.
    """

    name: str
    source: str
    train_x: torch.Tensor  # (n, features)
    train_y: torch.Tensor  # (n,)
    validation_x: torch.Tensor
    validation_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    classes: int
    image_shape: tuple[int, int, int]
    checksums: dict[str, str]

    def __repr__(self) -> str:
        sizes = (f"{n} {part}" for part, n in self.sizes().items())
        return f"<Dataset {self.name}: {', '.join(sizes)} images of {self.image_shape}>"

    def sizes(self) -> dict[str, int]:
        """The number of images of each part."""
        return {
            "train": len(self.train_y),
            "validation": len(self.validation_y),
            "test": len(self.test_y),
        }

    @property
    def features(self) -> int:
        """N_0: channels times rows times columns of one image."""
        return int(self.train_x.shape[1])

    def description(self) -> dict[str, Any]:
        """The name, source, checksums and sizes, as JSON can hold them."""
        return {
            "name": self.name,
            "source": self.source,
            "checksums": self.checksums,
            **self.sizes(),
        }

    @property
    def variance(self) -> float:
        """q^0 = |x|^2 / N_0 of the first image, and so of all."""
        return float(self.train_x[0].double().square().mean())


@dataclass(frozen=True)
class RawImages:
    """Unscaled pixels (n, features) and labels (n,) of the training and the test set."""

    source: str
    image_shape: tuple[int, int, int]
    train_pixels: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_pixels: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    checksums: dict[str, str]


def dataset_of(name: str, raw: RawImages, seed: int) -> Dataset:
    """Hold out 10% of the training set by ``seed`` and normalize every image to variance 1.

    Raises:
        DataError: for an image whose pixels are all equal.
    """
    held_out, kept = held_out_split(len(raw.train_labels), seed)
    labels = torch.from_numpy(raw.train_labels)
    return Dataset(
        name=name,
        source=raw.source,
        train_x=torch.from_numpy(normalize_images(raw.train_pixels, 1.0, kept.numpy())),
        train_y=labels[kept],
        validation_x=torch.from_numpy(normalize_images(raw.train_pixels, 1.0, held_out.numpy())),
        validation_y=labels[held_out],
        test_x=torch.from_numpy(normalize_images(raw.test_pixels, 1.0)),
        test_y=torch.from_numpy(raw.test_labels),
        classes=CLASSES,
        image_shape=raw.image_shape,
        checksums=raw.checksums,
    )


def normalize_images(
    pixels: NDArray[np.float64 | np.float32 | np.uint8],
    variance: float,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Centre and scale each row so that its mean is 0 and |x|^2 / N_0 is ``variance``.

    Args:
        pixels: (n, features).
        variance: positive.
        rows: indices of the images to normalize, in order; all by default.

    Returns:
        (len(rows), features).

    Raises:
        DataError: for an image whose pixels are all equal, which no factor scales to ``variance``.
    """
    rows = np.arange(len(pixels)) if rows is None else rows
    normalized = np.empty((len(rows), pixels.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        chosen = rows[start : start + BLOCK]
        block = pixels[chosen].astype(np.float64)
        block -= block.mean(axis=1, keepdims=True)
        scale = np.sqrt(np.mean(block**2, axis=1, keepdims=True))
        if not np.all(scale > 0):
            index = int(chosen[np.argmin(scale)])
            raise DataError(f"image {index} has the same value everywhere and cannot be scaled")
        normalized[start : start + BLOCK] = block * (np.sqrt(variance) / scale)
    return normalized


def held_out_split(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A random split of ``range(count)``: validation (a tenth, at least one) and training."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    cut = max(1, round(HELD_OUT * count))
    return order[:cut], order[cut:]
