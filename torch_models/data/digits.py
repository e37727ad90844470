"""The 1,797 digits of 8 x 8 pixels that come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from torch_models.data.dataset import DataError, RawImages
from torch_models.data.files import md5

DIGITS_TEST_SIZE = 360
"""A fifth of the 1,797 digits; the same ones for every seed."""


def load_digits(data_dir: Path | None) -> RawImages:
    """The digits that come with scikit-learn, with a fixed test set.

    Raises:
        DataError: if ``data_dir`` is not None.
    """
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
        image_shape=(1, 8, 8),
        train_pixels=pixels[train],
        train_labels=labels[train],
        test_pixels=pixels[test],
        test_labels=labels[test],
        checksums={"pixels": md5(pixels.data), "labels": md5(labels.data)},
    )
