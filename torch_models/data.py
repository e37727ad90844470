"""Real images for training: scikit-learn's digits, and MNIST from a folder or from OpenML.

Every image is centred and scaled by itself, so that q^0 = |x|^2 / N_0 is the same for all of them:
the variance map (Eq. 3) then speaks of every image alike, and the first layer, which keeps its
input's variance (App. D), hands q^0 on to the second.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

HELD_OUT = 0.1
"""Share of the training set held out for validation (Sec. 4 and App. D of the paper)."""

CLASSES = 10
"""Both data sets show the ten digits."""

DIGITS_TEST_SIZE = 360
"""A fifth of the 1,797 digits; which ones never changes, whatever the seed."""

IMAGES_MAGIC = 2051
LABELS_MAGIC = 2049

MNIST_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}

PUBLISHED_BYTES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}

PUBLISHED_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""md5 of the MNIST files as published (.gz), and of what is inside them."""


class DataError(ValueError):
    """Data that cannot be used; the message names the folder or file and what is wrong with it."""


@dataclass(frozen=True)
class Dataset:
    """Images as rows of float32 with |x|^2 / N_0 = variance, labels as int64.

    ``checksums`` holds one ``"md5:..."`` per file (or per array, where there are no files), and
    ``source`` says in words where the images come from.
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
    checksums: dict[str, str]

    @property
    def features(self) -> int:
        """N_0, the number of pixels of one image."""
        return int(self.train_x.shape[1])


@dataclass(frozen=True)
class RawImages:
    """Pixels as they come (n, features), labels (n,), already split into training and test."""

    source: str
    train_pixels: NDArray[np.float64 | np.uint8]
    train_labels: NDArray[np.int64]
    test_pixels: NDArray[np.float64 | np.uint8]
    test_labels: NDArray[np.int64]
    checksums: dict[str, str]


def load_dataset(
    name: str, data_dir: Path | None = None, variance: float = 1.0, seed: int = 0
) -> Dataset:
    """Load ``"digits"`` or ``"mnist"``, with 10% of the training set held out by ``seed``.

    digits: 1,797 images of 8 x 8 that come with scikit-learn, split 1,293 / 144 / 360.
    mnist: the four official IDX files, plain or ``.gz``, in ``data_dir``, split 54,000 / 6,000 /
    10,000; without a ``data_dir`` they are fetched from OpenML, which needs a network.

    ``variance`` is q^0 of every image. Raises ``DataError`` for a folder or file that cannot be
    used and ``ValueError`` for a name that is not known or a variance that is not positive.
    """
    if name not in LOADERS:
        raise ValueError(f"data must be one of {', '.join(LOADERS)}, got {name!r}")
    if not (np.isfinite(variance) and variance > 0):
        raise ValueError(f"variance must be positive and finite, got {variance!r}")
    raw = LOADERS[name](data_dir)
    held_out, kept = held_out_split(len(raw.train_labels), seed)
    train = torch.from_numpy(normalize_images(raw.train_pixels, variance))
    labels = torch.from_numpy(raw.train_labels)
    return Dataset(
        name=name,
        source=raw.source,
        train_x=train[kept],
        train_y=labels[kept],
        validation_x=train[held_out],
        validation_y=labels[held_out],
        test_x=torch.from_numpy(normalize_images(raw.test_pixels, variance)),
        test_y=torch.from_numpy(raw.test_labels),
        classes=CLASSES,
        checksums=raw.checksums,
    )


def normalize_images(
    pixels: NDArray[np.float64 | np.uint8], variance: float
) -> NDArray[np.float32]:
    """Centre and scale each row so that its mean is 0 and |x|^2 / N_0 is ``variance``.

    Raises ``DataError`` for an image of one colour, which no scale can bring there.
    """
    normalized = np.empty(pixels.shape, dtype=np.float32)
    for start in range(0, len(pixels), 4096):  # blocks keep the float64 copy of MNIST small
        block = pixels[start : start + 4096].astype(np.float64)
        block -= block.mean(axis=1, keepdims=True)
        scale = np.sqrt(np.mean(block**2, axis=1, keepdims=True))
        if not np.all(scale > 0):
            index = start + int(np.argmin(scale))
            raise DataError(f"image {index} has the same value everywhere and cannot be scaled")
        normalized[start : start + 4096] = block * (np.sqrt(variance) / scale)
    return normalized


def held_out_split(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices held out for validation (a tenth, at least one) and those kept for training."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    cut = max(1, round(HELD_OUT * count))
    return order[:cut], order[cut:]


def load_digits(data_dir: Path | None) -> RawImages:
    """Read the digits that come with scikit-learn; their test set is fixed once and for all."""
    if data_dir is not None:
        raise DataError("digits come with scikit-learn and need no data folder; drop --data-dir")
    import sklearn
    from sklearn.datasets import load_digits as sklearn_digits

    bunch = sklearn_digits()
    pixels, labels = bunch.data.astype(np.uint8), bunch.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(labels))
    test, train = order[:DIGITS_TEST_SIZE], order[DIGITS_TEST_SIZE:]
    return RawImages(
        source=f"scikit-learn {sklearn.__version__}, load_digits",
        train_pixels=pixels[train],
        train_labels=labels[train],
        test_pixels=pixels[test],
        test_labels=labels[test],
        checksums={"pixels": _md5(pixels.tobytes()), "labels": _md5(labels.tobytes())},
    )


def load_mnist(data_dir: Path | None) -> RawImages:
    """Read the four official files from a folder, or fetch them where no folder is given."""
    return fetch_mnist() if data_dir is None else read_mnist(data_dir)


def read_mnist(folder: Path) -> RawImages:
    """Read MNIST's four IDX files, plain or ``.gz``; ``DataError`` names the first that is bad.

    Files of the published size must have the published content. Files of another size are taken
    for a smaller set in the same format: ``source`` then says that they are not the published
    ones.
    """
    try:
        present = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"data folder {folder} cannot be read: {reason}") from error
    arrays: dict[str, NDArray[np.uint8]] = {}
    checksums: dict[str, str] = {}
    published = True
    for part, name in MNIST_FILES.items():
        found = next((n for n in (f"{name}.gz", name) if n in present), None)
        if found is None:
            raise DataError(f"data folder {folder} has no file {name}.gz (or {name})")
        data, checksums[found] = _read_idx_bytes(folder / found, name)
        parse = _parse_images if part.endswith("images") else _parse_labels
        arrays[part] = parse(data, folder / found)
        published = published and len(data) == PUBLISHED_BYTES[name]
    for split in ("train", "test"):
        images, labels = len(arrays[f"{split}_images"]), len(arrays[f"{split}_labels"])
        if images != labels:
            raise DataError(
                f"{folder / MNIST_FILES[f'{split}_labels']} holds {labels} labels for "
                f"{images} images"
            )
    if arrays["train_images"].shape[1] != arrays["test_images"].shape[1]:
        raise DataError(f"training and test images in {folder} differ in size")
    return RawImages(
        source="MNIST as published" if published else "IDX files that are not the published MNIST",
        train_pixels=arrays["train_images"],
        train_labels=arrays["train_labels"].astype(np.int64),
        test_pixels=arrays["test_images"],
        test_labels=arrays["test_labels"].astype(np.int64),
        checksums=checksums,
    )


def fetch_mnist() -> RawImages:
    """Fetch ``mnist_784`` from OpenML into scikit-learn's cache, where it is found again."""
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of every failed try before it gives up
            bunch = fetch_openml(
                "mnist_784", version=1, as_frame=False, parser="liac-arff", n_retries=1
            )
    except (OSError, ValueError) as error:  # no route, a proxy's refusal, a broken download
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise DataError(
            f"MNIST could not be fetched from OpenML ({' '.join(reason.split())}); give the "
            "folder of the four IDX files with --data-dir"
        ) from error
    pixels, labels = bunch.data.astype(np.uint8), bunch.target.astype(np.int64)
    train = PUBLISHED_BYTES["train-labels-idx1-ubyte"] - 8
    return RawImages(
        source="OpenML, mnist_784 version 1",
        train_pixels=pixels[:train],
        train_labels=labels[:train],
        test_pixels=pixels[train:],
        test_labels=labels[train:],
        checksums={"pixels": _md5(pixels.tobytes()), "labels": _md5(labels.tobytes())},
    )


LOADERS: dict[str, Callable[[Path | None], RawImages]] = {
    "digits": load_digits,
    "mnist": load_mnist,
}


def _read_idx_bytes(path: Path, name: str) -> tuple[bytes, str]:
    """Return the file's content, decompressed, and the md5 of the file as it lies there."""
    try:
        stored = path.read_bytes()
        data = gzip.decompress(stored) if path.suffix == ".gz" else stored
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{path} cannot be read: {reason}") from error
    if len(data) == PUBLISHED_BYTES[name]:
        found = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if found != PUBLISHED_MD5[name]:
            raise DataError(
                f"{path} is not MNIST's file of that name: its content has md5 {found}, "
                f"published is {PUBLISHED_MD5[name]}"
            )
    return data, _md5(stored)


def _parse_images(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Parse an IDX file of images, returning (n, rows * columns)."""
    count, rows, columns = _idx_shape(data, path, IMAGES_MAGIC, dimensions=3)
    return np.frombuffer(data, dtype=np.uint8, offset=16).reshape(count, rows * columns)


def _parse_labels(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Parse an IDX file of labels 0 to 9, returning (n,)."""
    _idx_shape(data, path, LABELS_MAGIC, dimensions=1)
    labels = np.frombuffer(data, dtype=np.uint8, offset=8)
    if labels.max() > 9:
        raise DataError(f"{path} holds the label {labels.max()}; labels are 0 to 9")
    return labels


def _idx_shape(data: bytes, path: Path, magic: int, dimensions: int) -> tuple[int, ...]:
    """Check an IDX header against the file's length and return the shape that it states."""
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


def _md5(data: bytes) -> str:
    return "md5:" + hashlib.md5(data, usedforsecurity=False).hexdigest()
