"""Loading a data set by its name."""

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


def load_dataset(name: str, data_dir: Path | str | None = None, seed: int = 0) -> Dataset:
    """Load ``"digits"``, ``"mnist"`` or ``"cifar10"``, with 10% held out of training by ``seed``.

    digits: 1,797 images of 8 x 8 that come with scikit-learn, split 1,293 / 144 / 360.
    mnist: the four official IDX files, split 54,000 / 6,000 / 10,000.
    cifar10: the six files of the binary version, split 45,000 / 5,000 / 10,000; three quarters of
    a gigabyte as float32.

    Args:
        name: of the data set.
        data_dir: folder of the files, plain or ``.gz``, ``.xz`` or ``.bz2``, or with a subfolder of
            them that has the name of the data set; of CIFAR-10 also the Python version, or a
            published archive. Without one, MNIST and CIFAR-10 are fetched from
            OpenML, which needs a network; digits take none.
        seed: of the split into training and validation.

    Returns:
        Images of mean 0 and variance q^0 = |x|^2 / N_0 = 1. For another q* give an ensemble
        ``input_scales=[q_star**0.5]``, one number a member.

    Raises:
        DataError: for a folder or file that cannot be used.
        ValueError: for an unknown name.
    """
    check_name(name)
    place = None if data_dir is None else Path(data_dir)
    return dataset_of(name, LOADERS[name](place), seed)


def check_name(name: str) -> None:
    """Raise ``ValueError`` for the name of a data set that is not known."""
    if name not in LOADERS:
        raise ValueError(f"data must be one of {', '.join(LOADERS)}, got {name!r}")
