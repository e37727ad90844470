"""CIFAR-10, from its binary or its Python version, unpacked or as published, or from OpenML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torch_models.data.cifar10_python import python_name, records_of_python_version
from torch_models.data.dataset import CLASSES, DataError, RawImages
from torch_models.data.files import (
    Content,
    folder_of,
    md5,
    merged_checksums,
    read_archive,
    read_content,
    reason_of,
)
from torch_models.data.openml import fetch_images

CIFAR10_SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
FILE_BYTES = 10_000 * RECORD_BYTES

CIFAR10_FOLDERS = ("cifar10", "cifar-10-batches-bin", "cifar-10-batches-py")
"""Subfolders of a data folder that are searched too; the archives unpack to the last two."""

CIFAR10_ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")

TEST_BATCH = "test_batch.bin"

CIFAR10_MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    TEST_BATCH: "803d5f7f4d78ea53de84dbe85f74fb6d",
}
"""md5 of the files in the published archive ``cifar-10-binary.tar.gz``."""


def load_cifar10(data_dir: Path | None) -> RawImages:
    """Read the files in a folder, or an archive, or fetch the images from OpenML if it is None."""
    return fetch_cifar10() if data_dir is None else read_cifar10(data_dir)


def read_cifar10(folder: Path) -> RawImages:
    """Read the six files of the binary or the Python version, or a published archive of them.

    Some copies differ in single images that went through a lossy format, so other content than the
    published is accepted, and so are files of fewer images; ``source`` says how many files are as
    published.

    Raises:
        DataError: naming the first file that is missing or not in the format.
    """
    contents = _contents(folder)
    records = {name: _parse_records(content) for name, content in contents.items()}
    test = records.pop(TEST_BATCH)
    train = np.concatenate(list(records.values()))
    return RawImages(
        source=_source(contents),
        image_shape=CIFAR10_SHAPE,
        train_pixels=train[:, 1:],
        train_labels=train[:, 0].astype(np.int64),
        test_pixels=test[:, 1:],
        test_labels=test[:, 0].astype(np.int64),
        checksums=merged_checksums(contents.values()),
    )


def fetch_cifar10() -> RawImages:
    """Fetch ``CIFAR_10`` from OpenML, or from scikit-learn's cache of an earlier download."""
    return fetch_images(
        "CIFAR_10",
        called="CIFAR-10",
        files="the six files of the binary version",
        image_shape=CIFAR10_SHAPE,
        train=50_000,
    )


def _contents(place: Path) -> dict[str, Content]:
    """The six files of the binary version, by their names; those of the Python version made so."""
    archives = [place] if place.is_file() else [place / name for name in CIFAR10_ARCHIVES]
    try:
        folder = folder_of(TEST_BATCH, place, CIFAR10_FOLDERS)
    except DataError as error:
        for archive in archives:
            if archive.is_file():
                return _from_archive(archive)
        for candidate in (place, *(place / name for name in CIFAR10_FOLDERS)):
            if (candidate / python_name(TEST_BATCH)).is_file():
                return _from_python_version(candidate)
        other = f"no {python_name(TEST_BATCH)} of the Python version, and no archive"
        raise DataError(f"{error}, {other} {' or '.join(CIFAR10_ARCHIVES)}") from error
    return {name: read_content(name, folder) for name in CIFAR10_MD5}


def _from_archive(archive: Path) -> dict[str, Content]:
    files = read_archive(archive)
    contents = {}
    for name in CIFAR10_MD5:
        if name in files:
            data = files[name]
        elif python_name(name) in files:
            data = records_of_python_version(files[python_name(name)], archive)
        else:
            raise DataError(f"{archive} has no file {name} or {python_name(name)}")
        contents[name] = Content(archive, name, data, {name: md5(data)})
    return contents


def _from_python_version(folder: Path) -> dict[str, Content]:
    contents = {}
    for name in CIFAR10_MD5:
        path = folder / python_name(name)
        try:
            stored = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {reason_of(error)}") from error
        data = records_of_python_version(stored, path)
        contents[name] = Content(path, name, data, {name: md5(data)})
    return contents


def _source(contents: dict[str, Content]) -> str:
    """Describe how many of the files have the published content."""
    whole = sum(len(content.data) == FILE_BYTES for content in contents.values())
    published = sum(content.md5 == CIFAR10_MD5[name] for name, content in contents.items())
    if published == len(contents):
        return "CIFAR-10 as published"
    if whole == len(contents):
        return f"CIFAR-10 files, {published} of {len(contents)} as published"
    return (
        f"files in CIFAR-10's format, {published} of {len(contents)} as published, "
        f"{len(contents) - whole} of fewer images"
    )


def _parse_records(content: Content) -> NDArray[np.uint8]:
    """Parse records of a label and the planes R, G and B, returning (n, 1 + 3 * 32 * 32)."""
    data, path = content.data, content.path
    if len(data) > FILE_BYTES:
        raise DataError(f"{path} is too long: {len(data)} bytes, the published has {FILE_BYTES}")
    if not data:
        raise DataError(f"{path} is empty")
    if len(data) % RECORD_BYTES:
        raise DataError(
            f"{path} is truncated: {len(data)} bytes are no whole number of images of "
            f"{RECORD_BYTES} bytes"
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, RECORD_BYTES)
    label = records[:, 0].max()
    if label >= CLASSES:
        raise DataError(f"{path} holds the label {label}; labels are 0 to 9")
    return records
