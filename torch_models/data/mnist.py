"""MNIST, from the four official IDX files or from OpenML."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torch_models.data.dataset import DataError, RawImages
from torch_models.data.files import Content, folder_of, merged_checksums, read_content
from torch_models.data.openml import fetch_images

IMAGES_MAGIC = 2051
LABELS_MAGIC = 2049

MNIST_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}

MNIST_FOLDERS = ("mnist", "MNIST/raw", "raw")
"""Subfolders of a data folder that are searched too; the second is torchvision's."""

MNIST_BYTES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}

MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""md5 of the published files, decompressed."""


def load_mnist(data_dir: Path | None) -> RawImages:
    """Read the four official files from a folder, or fetch the images from OpenML if it is None."""
    return fetch_mnist() if data_dir is None else read_mnist(data_dir)


def read_mnist(folder: Path) -> RawImages:
    """Read MNIST's four IDX files, plain or compressed.

    Files of the published size must have the published content. Files of another size are accepted
    as another data set in the same format; ``source`` then says that they are not the published
    ones.

    Raises:
        DataError: naming the first file that is missing, not in the format, or altered.
    """
    folder = folder_of(MNIST_FILES["train_images"], folder, MNIST_FOLDERS)
    contents = {part: read_content(name, folder) for part, name in MNIST_FILES.items()}
    published = [_is_published(contents[part], name) for part, name in MNIST_FILES.items()]
    train_pixels, train_shape = _parse_images(contents["train_images"])
    test_pixels, test_shape = _parse_images(contents["test_images"])
    train_labels = _parse_labels(contents["train_labels"], len(train_pixels))
    test_labels = _parse_labels(contents["test_labels"], len(test_pixels))
    if train_shape != test_shape:
        raise DataError(f"training and test images in {folder} differ in size")
    return RawImages(
        source=(
            "MNIST as published" if all(published) else "IDX files that are not the published MNIST"
        ),
        image_shape=train_shape,
        train_pixels=train_pixels,
        train_labels=train_labels,
        test_pixels=test_pixels,
        test_labels=test_labels,
        checksums=merged_checksums(contents.values()),
    )


def fetch_mnist() -> RawImages:
    """Fetch ``mnist_784`` from OpenML, or from scikit-learn's cache of an earlier download."""
    return fetch_images(
        "mnist_784",
        called="MNIST",
        files="the four IDX files",
        image_shape=(1, 28, 28),
        train=60_000,
    )


def _is_published(content: Content, name: str) -> bool:
    """Whether a file is the published one; ``DataError`` for other content of the same size."""
    if len(content.data) != MNIST_BYTES[name]:
        return False
    if content.md5 != MNIST_MD5[name]:
        raise DataError(
            f"{content.path} is not MNIST's file of that name: its content has md5 {content.md5}, "
            f"published is {MNIST_MD5[name]}"
        )
    return True


def _parse_images(content: Content) -> tuple[NDArray[np.uint8], tuple[int, int, int]]:
    """Parse an IDX file of images, returning (n, rows * columns) and the shape of an image."""
    count, rows, columns = _idx_shape(content, IMAGES_MAGIC, dimensions=3)
    pixels = np.frombuffer(content.data, dtype=np.uint8, offset=16)
    return pixels.reshape(count, rows * columns), (1, rows, columns)


def _parse_labels(content: Content, images: int) -> NDArray[np.int64]:
    """Parse an IDX file of one label, 0 to 9, for each of the images, returning (n,)."""
    _idx_shape(content, LABELS_MAGIC, dimensions=1)
    labels = np.frombuffer(content.data, dtype=np.uint8, offset=8)
    if labels.max() > 9:
        raise DataError(f"{content.path} holds the label {labels.max()}; labels are 0 to 9")
    if len(labels) != images:
        raise DataError(f"{content.path} holds {len(labels)} labels for {images} images")
    return labels.astype(np.int64)


def _idx_shape(content: Content, magic: int, dimensions: int) -> tuple[int, ...]:
    """Check an IDX header against the file's length and return the shape in it."""
    data, path = content.data, content.path
    header = 4 * (1 + dimensions)
    if len(data) < header:
        raise DataError(f"{path} is truncated: {len(data)} bytes, its header alone has {header}")
    found, *shape = (int(v) for v in np.frombuffer(data, dtype=">u4", count=1 + dimensions))
    if found != magic:
        raise DataError(f"{path} is not an IDX file of its kind: magic {found}, expected {magic}")
    if 0 in shape:
        raise DataError(f"{path} is empty: its header states the shape {tuple(shape)}")
    expected = header + math.prod(shape)
    if len(data) < expected:
        raise DataError(f"{path} is truncated: {len(data)} bytes, its header asks for {expected}")
    if len(data) > expected:
        raise DataError(f"{path} is too long: {len(data)} bytes, its header asks for {expected}")
    return tuple(shape)
