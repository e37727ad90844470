"""Small files in the formats of MNIST and of CIFAR-10's binary version."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}

IDX = {
    "train-images-idx3-ubyte": (2051, (20, 4, 3)),
    "train-labels-idx1-ubyte": (2049, (20,)),
    "t10k-images-idx3-ubyte": (2051, (10, 4, 3)),
    "t10k-labels-idx1-ubyte": (2049, (10,)),
}

BATCHES = {**{f"data_batch_{k}.bin": 4 for k in range(1, 6)}, "test_batch.bin": 3}
"""The six files of CIFAR-10 and how many images each one has here."""


def idx_bytes(name: str) -> bytes:
    """A small file in the format of the MNIST file of that name."""
    magic, shape = IDX[name]
    body = np.random.default_rng(len(name)).integers(0, 10, size=shape, dtype=np.uint8)
    return struct.pack(f">{1 + len(shape)}I", magic, *shape) + body.tobytes()


def batch_bytes(name: str) -> bytes:
    """A small file in the format of the CIFAR-10 file of that name."""
    generator = np.random.default_rng(list(BATCHES).index(name))
    records = generator.integers(0, 256, size=(BATCHES[name], 3073), dtype=np.uint8)
    records[:, 0] %= 10
    return records.tobytes()


def write_mnist(folder: Path, train: str = ".gz", test: str = "") -> Path:
    """Write MNIST's four files into a new folder, with these compressions."""
    folder.mkdir(parents=True)
    for name in IDX:
        suffix = train if name.startswith("train") else test
        (folder / f"{name}{suffix}").write_bytes(COMPRESS[suffix](idx_bytes(name)))
    return folder


def write_cifar10(folder: Path, suffix: str = "") -> Path:
    """Write CIFAR-10's six files into a new folder, with this compression."""
    folder.mkdir(parents=True)
    for name in BATCHES:
        (folder / f"{name}{suffix}").write_bytes(COMPRESS[suffix](batch_bytes(name)))
    return folder


def python_batch(name: str) -> bytes:
    """The same images as CIFAR-10's Python version has them: pickled."""
    records = np.frombuffer(batch_bytes(name), np.uint8).reshape(-1, 3073)
    batch = {b"data": records[:, 1:].copy(), b"labels": records[:, 0].astype(int).tolist()}
    return pickle.dumps(batch, protocol=2)


def write_cifar10_archive(path: Path, python: bool) -> Path:
    """Write an archive as CIFAR-10 is published, of its Python or its binary version."""
    with tarfile.open(path, "w:gz") as archive:
        for name in BATCHES:
            content = python_batch(name) if python else batch_bytes(name)
            stored = name.removesuffix(".bin") if python else name
            member = tarfile.TarInfo(f"cifar-10-batches/{stored}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
