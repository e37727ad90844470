"""The Python version of CIFAR-10: pickled batches, turned into records of the binary version."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from torch_models.data.dataset import DataError

PIXELS = 3 * 32 * 32

ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}
"""All that a batch is made of besides numbers, bytes, lists and dictionaries. A pickle may name any
function, and reading one runs it; whatever else a file names is refused."""


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up what the file names, if it is allowed."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of images does")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def python_name(name: str) -> str:
    """What the Python version calls a file of the binary version: without ``.bin``."""
    return name.removesuffix(".bin")


def records_of_python_version(stored: bytes, path: Path) -> bytes:
    """The same images as records of a label and 3072 pixels.

    Raises:
        DataError: if ``stored``, read from ``path``, is no batch of CIFAR-10's Python version.
    """
    try:
        batch = _ArraysOnly(io.BytesIO(stored), encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(f"{path} is no batch of CIFAR-10's Python version: {error!r}") from error
    if pixels.dtype != np.uint8 or pixels.shape != (labels.size, PIXELS) or labels.ndim != 1:
        raise DataError(
            f"{path} is no batch of CIFAR-10's Python version: pixels of shape {pixels.shape}, "
            f"labels of shape {labels.shape}"
        )
    if not np.array_equal(labels, labels.astype(np.uint8)):
        raise DataError(
            f"{path} has labels from {labels.min()} to {labels.max()}, which are no classes"
        )
    return np.column_stack([labels.astype(np.uint8), pixels]).tobytes()
