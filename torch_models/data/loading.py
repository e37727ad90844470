"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch_models.data.cifar10 import load_cifar10
from torch_models.data.dataset import Dataset, RawImages, dataset_of
from torch_models.data.digits import load_digits
from torch_models.data.mnist import load_mnist

LOADERS: dict[str, Callable[[Path | None], RawImages]] = {
    "digits": load_digits,
    "mnist": load_mnist,
    "cifar10": load_cifar10,
}


def load_dataset(name: str, data_dir: Path | None = None, seed: int = 0) -> Dataset:
    """Load ``"digits"``, ``"mnist"`` or ``"cifar10"``, with 10% held out of training by ``seed``.

    digits: 1,797 images of 8 x 8 that come with scikit-learn, split 1,293 / 144 / 360.
    mnist: the four official IDX files, split 54,000 / 6,000 / 10,000.
    cifar10: the six files of the binary version, split 45,000 / 5,000 / 10,000; three quarters of
    a gigabyte as float32.

    The files, plain or ``.gz``, ``.xz`` or ``.bz2``, are those in ``data_dir`` or in the folder in
    it that has the name of the data set; without a ``data_dir`` the images are fetched from OpenML,
    which needs a network.

    Every image has mean 0 and variance q^0 = 1; ensembles scale their inputs to other variances.
    Raises ``DataError`` for a folder or file that cannot be used and ``ValueError`` for a name that
    is not known.
    """
    check_name(name)
    return dataset_of(name, LOADERS[name](data_dir), seed)


def check_name(name: str) -> None:
    """Raise ``ValueError`` for the name of a data set that is not known."""
    if name not in LOADERS:
        raise ValueError(f"data must be one of {', '.join(LOADERS)}, got {name!r}")
