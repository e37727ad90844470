"""Reading the files of a data set, plain or compressed, with their checksums."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from torch_models.data.dataset import DataError

DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
}


@dataclass(frozen=True)
class Content:
    """A file's decompressed bytes, and the checksums of the file as stored and of these bytes.

    ``path`` is where the bytes were read; ``name`` is the published name of the file, whatever the
    name of the copy.
    """

    path: Path
    name: str
    data: bytes
    checksums: dict[str, str]

    @property
    def md5(self) -> str:
        """Hexadecimal md5 of ``data``."""
        return self.checksums[self.name].removeprefix("md5:")


def folder_of(name: str, folder: Path, subfolders: tuple[str, ...]) -> Path:
    """Return ``folder`` or its first subfolder that holds the file ``name``, in any compression.

    Raises:
        DataError: if the folder cannot be read or has no such file.
    """
    try:
        next(folder.iterdir(), None)
        for candidate in (folder, *(folder / subfolder for subfolder in subfolders)):
            if stored_file(name, candidate) is not None:
                return candidate
    except OSError as error:
        raise DataError(f"data folder {folder} cannot be read: {reason_of(error)}") from error
    raise DataError(f"data folder {folder} has {absent(name)}")


def read_content(name: str, folder: Path) -> Content:
    """Read the file ``name`` of a folder, plain or as ``.gz``, ``.xz`` or ``.bz2``.

    Raises:
        DataError: if the file is missing, cannot be read, or is not in the format of its suffix.
    """
    path = stored_file(name, folder)
    if path is None:
        raise DataError(f"data folder {folder} has {absent(name)}")
    try:
        stored = path.read_bytes()
        data = DECOMPRESS[path.suffix](stored) if path.suffix in DECOMPRESS else stored
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read: {reason_of(error)}") from error
    stored_as = name + (path.suffix if path.suffix in DECOMPRESS else "")
    return Content(path, name, data, {stored_as: md5(stored), name: md5(data)})


def read_archive(path: Path) -> dict[str, bytes]:
    """The files in a tar archive, compressed or not, by their names without folders.

    Raises:
        DataError: if the archive cannot be read.
    """
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile()]
            found = {Path(member.name).name: archive.extractfile(member) for member in members}
            return {name: file.read() for name, file in found.items() if file is not None}
    except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read: {reason_of(error)}") from error


def stored_file(name: str, folder: Path) -> Path | None:
    """The file ``name`` of a folder in any of its spellings, None where there is none.

    Some programs unpack an archive of one file into a folder of the file's name.
    """
    paths = [folder / spelling for spelling in spellings(name)]
    inside = [path / spelling for path in paths for spelling in spellings(name)]
    return next((path for path in (*paths, *inside) if path.is_file()), None)


def spellings(name: str) -> tuple[str, ...]:
    """Names that a file may have, in the order of search; ``.gz`` first, as published.

    Some programs unpack ``train-images-idx3-ubyte.gz`` as ``train-images.idx3-ubyte``.
    """
    names = dict.fromkeys((name, name.replace("-idx", ".idx")))
    return tuple(each + suffix for each in names for suffix in (".gz", "", ".xz", ".bz2"))


def content_name(name: str) -> str:
    """Name of a file once decompressed."""
    path = Path(name)
    return path.stem if path.suffix in DECOMPRESS else name


def merged_checksums(contents: Iterable[Content]) -> dict[str, str]:
    """The checksums of several files in one dictionary."""
    return {name: md5 for content in contents for name, md5 in content.checksums.items()}


def absent(name: str) -> str:
    """The part of an error message that names a missing file."""
    return f"no file {name} (plain or as {', '.join(DECOMPRESS)})"


def reason_of(error: Exception) -> str:
    """A short, never empty, message of an error raised by reading."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def md5(data: bytes | memoryview) -> str:
    """The md5 of bytes as ``"md5:..."``."""
    return "md5:" + hashlib.md5(data, usedforsecurity=False).hexdigest()
