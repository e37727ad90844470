"""Images fetched from OpenML, where no files are given."""

from __future__ import annotations

import warnings
from http.client import HTTPException

import numpy as np

from torch_models.data.dataset import DataError, RawImages
from torch_models.data.files import md5

ATTEMPTS = 2

BROKEN = (OSError, ValueError, EOFError, HTTPException)
"""No network, a refusing proxy, or a download that was cut off."""


def fetch_images(
    dataset: str, *, called: str, files: str, image_shape: tuple[int, int, int], train: int
) -> RawImages:
    """Fetch version 1 of a data set from OpenML, or from scikit-learn's cache.

    Args:
        dataset: OpenML's name of it.
        called: the name in error messages.
        files: the files that an error message suggests instead.
        image_shape: (channels, rows, columns).
        train: the first so many images are the training set, the others the test set.

    Raises:
        DataError: if nothing can be fetched, or pixels are not whole numbers from 0 to 255.
    """
    from sklearn.datasets import fetch_openml

    for attempt in range(ATTEMPTS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # one for every failed attempt
                bunch = fetch_openml(
                    dataset, version=1, as_frame=False, parser="liac-arff", n_retries=1
                )
            break
        except BROKEN as error:
            if attempt + 1 < ATTEMPTS:
                continue
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            raise DataError(
                f"{called} could not be fetched from OpenML ({' '.join(reason.split())}); give the "
                f"folder of {files} with --data-dir"
            ) from error
    pixels, labels = bunch.data.astype(np.uint8, order="C"), bunch.target.astype(np.int64)
    if not np.array_equal(pixels, bunch.data):
        raise DataError(f"OpenML's {dataset} does not hold grey levels from 0 to 255")
    return RawImages(
        source=f"OpenML, {dataset} version 1, all after the first {train:,} images to test on",
        image_shape=image_shape,
        train_pixels=pixels[:train],
        train_labels=labels[:train],
        test_pixels=pixels[train:],
        test_labels=labels[train:],
        checksums={"pixels": md5(pixels.data), "labels": md5(labels.data)},
    )
