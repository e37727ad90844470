"""The images to train on: read, refused when damaged, normalized, reduced and found again."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import os
import pickle
import struct
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from property_tests.support.images import (
    BATCHES,
    COMPRESS,
    IDX,
    batch_bytes,
    idx_bytes,
    python_batch,
    write_cifar10,
    write_cifar10_archive,
    write_mnist,
)
from torch_models.data import (
    DIGITS_TEST_SIZE,
    LOADERS,
    DataError,
    Dataset,
    coarsen,
    find_dataset,
    held_out_split,
    load_dataset,
    normalize_images,
    subset,
)

# --- normalization and the parts of a data set --------------------------------------------------


@given(
    pixels=arrays(np.uint8, (3, 16), elements=some.integers(0, 255)),
    variance=some.floats(0.01, 100.0),
)
def test_every_image_has_mean_zero_and_exactly_the_variance_asked_for(
    pixels: NDArray[np.uint8], variance: float
) -> None:
    pixels[:, 0], pixels[:, 1] = 0, 255  # an image of one colour has no scale
    x = normalize_images(pixels, variance).astype(np.float64)
    # Rounding to float32 moves each pixel by at most 6e-8 of itself.
    np.testing.assert_allclose(np.mean(x**2, axis=1), variance, rtol=2e-7)
    np.testing.assert_allclose(x.mean(axis=1), 0.0, atol=1e-7 * math.sqrt(variance))


def test_images_are_picked_and_ordered_block_by_block_as_all_at_once() -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, size=(3000, 5), dtype=np.uint8)
    rows = generator.permutation(3000)[:2500]
    np.testing.assert_array_equal(
        normalize_images(pixels, 0.75, rows), normalize_images(pixels, 0.75)[rows]
    )


def test_an_image_of_one_colour_is_refused_by_its_index() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(3, 16)
    pixels[1] = 7
    for rows in (None, np.array([2, 1])):
        with pytest.raises(DataError, match="image 1 has the same value everywhere"):
            normalize_images(pixels, 1.0, rows)


def test_the_digits_are_split_into_disjoint_parts() -> None:
    held_out, kept = held_out_split(1437, seed=0)
    assert sorted([*held_out.tolist(), *kept.tolist()]) == list(range(1437))
    digits = load_dataset("digits")
    sizes = len(digits.train_y), len(digits.validation_y), len(digits.test_y)
    assert sizes == (1293, 144, DIGITS_TEST_SIZE)
    assert sum(sizes) == 1797
    images = torch.cat([digits.train_x, digits.validation_x, digits.test_x])
    assert len(torch.unique(images, dim=0)) == 1797  # no image in two parts
    assert (digits.image_shape, digits.features) == ((1, 8, 8), 64)


def test_data_sets_are_printed_in_one_line() -> None:
    data = load_dataset("digits")
    sizes = (len(y) for y in (data.train_y, data.validation_y, data.test_y))
    shown = "<Dataset digits: {} train, {} validation, {} test images of (1, 8, 8)>"
    assert repr(data) == shown.format(*sizes)
    assert len({data, data}) == 1


def test_the_seed_moves_the_held_out_part_and_never_the_test_set() -> None:
    first, second = load_dataset("digits", seed=0), load_dataset("digits", seed=1)
    assert torch.equal(first.test_x, second.test_x)
    assert not torch.equal(first.validation_y, second.validation_y)
    assert torch.equal(first.validation_x, load_dataset("digits", seed=0).validation_x)


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="data must be one of digits, mnist, cifar10, got 'svhn'"):
        load_dataset("svhn")


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", COMPRESS)
def test_idx_files_are_read_plain_or_compressed(suffix: str, tmp_path: Path) -> None:
    folder = write_mnist(tmp_path / "files", train=suffix)
    data = load_dataset("mnist", folder)
    assert (data.features, len(data.train_y), len(data.validation_y), len(data.test_y)) == (
        12, 18, 2, 10,
    )  # fmt: skip
    assert data.image_shape == (1, 4, 3)
    expected = np.frombuffer(idx_bytes("t10k-images-idx3-ubyte"), np.uint8, offset=16)
    np.testing.assert_array_equal(
        data.test_x.numpy(), normalize_images(expected.reshape(10, 12), 1.0)
    )
    assert set(data.checksums) == {*IDX, *(path.name for path in folder.iterdir())}
    assert "not the published" in data.source


@pytest.mark.parametrize("suffix", COMPRESS)
def test_records_of_cifar10_are_read_plain_or_compressed(suffix: str, tmp_path: Path) -> None:
    folder = write_cifar10(tmp_path / "files", suffix)
    data = load_dataset("cifar10", folder)
    assert (len(data.train_y), len(data.validation_y), len(data.test_y)) == (18, 2, 3)
    assert data.image_shape == (3, 32, 32)
    records = np.frombuffer(batch_bytes("test_batch.bin"), np.uint8).reshape(3, 3073)
    assert data.test_y.tolist() == records[:, 0].tolist()
    np.testing.assert_array_equal(data.test_x.numpy(), normalize_images(records[:, 1:], 1.0))
    assert set(data.checksums) == {*BATCHES, *(path.name for path in folder.iterdir())}
    assert data.source == ("files in CIFAR-10's format, 0 of 6 as published, 6 of fewer images")


def test_names_that_unpacking_programs_write_are_read(tmp_path: Path) -> None:
    """``train-images.idx3-ubyte``, alone or in a folder of that name; the folder as a str."""
    folder = write_mnist(tmp_path / "files", train="", test="")
    before = load_dataset("mnist", folder)
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    again = load_dataset("mnist", str(folder))
    assert again.checksums == before.checksums
    assert torch.equal(again.train_x, before.train_x)
    for path in list(folder.iterdir()):
        data = path.read_bytes()
        path.unlink()
        path.mkdir()
        (path / path.name).write_bytes(data)
    in_folders = load_dataset("mnist", folder)
    assert in_folders.checksums == before.checksums


@pytest.mark.parametrize("python", [False, True], ids=["binary version", "Python version"])
def test_archives_of_cifar10_are_read_as_they_are_published(tmp_path: Path, python: bool) -> None:
    """In a folder or by themselves, and the Python version unpacked too: the same images."""
    expected = load_dataset("cifar10", write_cifar10(tmp_path / "files"))
    name = f"cifar-10-{'python' if python else 'binary'}.tar.gz"
    archive = write_cifar10_archive(tmp_path / name, python)
    places = [archive, tmp_path]
    if python:
        unpacked = tmp_path / "unpacked" / "cifar-10-batches-py"
        unpacked.mkdir(parents=True)
        for batch in BATCHES:
            (unpacked / batch.removesuffix(".bin")).write_bytes(python_batch(batch))
        places += [unpacked, unpacked.parent]
    for place in places:
        found = load_dataset("cifar10", place)
        assert torch.equal(found.train_x, expected.train_x)
        assert torch.equal(found.test_y, expected.test_y)
        assert found.checksums == expected.checksums


def test_a_pickle_that_could_run_code_is_refused(tmp_path: Path) -> None:
    for batch in BATCHES:
        (tmp_path / batch.removesuffix(".bin")).write_bytes(pickle.dumps(os.system))
    with pytest.raises(DataError, match="no batch of CIFAR-10's Python version"):
        load_dataset("cifar10", tmp_path)


def test_a_label_of_the_python_version_that_no_byte_holds_is_refused(tmp_path: Path) -> None:
    """A byte would make 256 the class 0."""
    for batch in BATCHES:
        content = pickle.loads(python_batch(batch))
        content[b"labels"][0] += 256
        (tmp_path / batch.removesuffix(".bin")).write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"has labels from \d to 2\d\d, which are no classes"):
        load_dataset("cifar10", tmp_path)


def test_a_cut_archive_and_an_empty_folder_are_one_clear_error(tmp_path: Path) -> None:
    whole = write_cifar10_archive(tmp_path / "whole.tar.gz", python=False).read_bytes()
    cut = tmp_path / "cifar-10-binary.tar.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz cannot be read"):
        load_dataset("cifar10", cut)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no test_batch of the Python version, and no archive"):
        load_dataset("cifar10", tmp_path / "empty")


@pytest.mark.parametrize("error", [EOFError("cut off"), IncompleteRead(b"")])
def test_a_download_that_is_cut_off_is_tried_again_and_then_one_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def fetch(*_: object, **__: object) -> None:
        attempts.append(error)
        raise error

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    with pytest.raises(DataError, match="MNIST could not be fetched from OpenML"):
        load_dataset("mnist")
    assert len(attempts) == 2


def test_the_five_batches_are_held_out_of_and_trained_on_in_their_order(tmp_path: Path) -> None:
    data = load_dataset("cifar10", write_cifar10(tmp_path / "files"), seed=3)
    batches = b"".join(batch_bytes(f"data_batch_{k}.bin") for k in range(1, 6))
    records = np.frombuffer(batches, np.uint8).reshape(20, 3073)
    held_out, kept = held_out_split(20, seed=3)
    for x, y, rows in (
        (data.train_x, data.train_y, kept.numpy()),
        (data.validation_x, data.validation_y, held_out.numpy()),
    ):
        assert y.tolist() == records[rows, 0].tolist()
        np.testing.assert_array_equal(x.numpy(), normalize_images(records[rows, 1:], 1.0))


def test_a_colour_plane_is_a_channel_of_the_image(tmp_path: Path) -> None:
    folder = write_cifar10(tmp_path / "files")
    record = np.zeros((1, 3073), dtype=np.uint8)
    record[0, 1 + 1024 + 32 : 1 + 1024 + 64] = 255  # green, second row
    (folder / "test_batch.bin").write_bytes(record.tobytes())
    data = load_dataset("cifar10", folder)
    bright = torch.nonzero(data.test_x.view(-1, *data.image_shape) > 0)
    assert bright.tolist() == [[0, 1, 1, column] for column in range(32)]


@pytest.mark.parametrize(
    ("name", "write", "place"),
    [
        ("mnist", write_mnist, "mnist"),
        ("mnist", write_mnist, "MNIST/raw"),
        ("mnist", write_mnist, "raw"),
        ("cifar10", write_cifar10, "cifar10"),
        ("cifar10", write_cifar10, "cifar-10-batches-bin"),
    ],
)
def test_files_are_found_where_archives_and_libraries_put_them(
    name: str, write: Callable[[Path], Path], place: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / place)
    assert torch.equal(load_dataset(name, tmp_path).train_x, load_dataset(name, folder).train_x)


def test_files_of_the_published_size_are_counted_by_what_they_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = load_dataset("cifar10", write_cifar10(tmp_path / "files"))
    md5 = {name: data.checksums[name].removeprefix("md5:") for name in BATCHES}
    monkeypatch.setattr("torch_models.data.cifar10.CIFAR10_MD5", md5)
    assert load_dataset("cifar10", tmp_path / "files").source == "CIFAR-10 as published"
    monkeypatch.setattr("torch_models.data.cifar10.CIFAR10_MD5", {**md5, "test_batch.bin": "0"})
    monkeypatch.setattr("torch_models.data.cifar10.FILE_BYTES", 4 * 3073)
    (tmp_path / "files" / "test_batch.bin").write_bytes(batch_bytes("data_batch_1.bin"))
    assert load_dataset("cifar10", tmp_path / "files").source == (
        "CIFAR-10 files, 5 of 6 as published"
    )


def truncate_gzip(folder: Path) -> str:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    return path.name


def corrupt_gzip(folder: Path) -> str:
    path = folder / "train-labels-idx1-ubyte.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    return path.name


def truncate_plain(folder: Path) -> str:
    path = folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    return path.name


def cut_header(folder: Path) -> str:
    path = folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:5])
    return path.name


def lengthen(folder: Path) -> str:
    path = folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes() + b"\0")
    return path.name


def wrong_magic(folder: Path) -> str:
    path = folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(b"\0\0\x08\x03" + path.read_bytes()[4:])
    return path.name


def strange_label(folder: Path) -> str:
    path = folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")
    return path.name


def remove(folder: Path) -> str:
    (folder / "t10k-labels-idx1-ubyte").unlink()
    return "t10k-labels-idx1-ubyte"


def drop_a_label(folder: Path) -> str:
    path = folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(struct.pack(">2I", 2049, 9) + b"\1" * 9)
    return path.name


def same_size_other_content(folder: Path) -> str:
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">2I", 2049, 60000) + b"\1" * 60000))
    return path.name


def no_file_at_all(folder: Path) -> str:
    path = folder / "t10k-labels-idx1-ubyte"
    path.unlink()
    path.mkdir()
    return path.name


@pytest.mark.parametrize(
    "damage",
    [
        truncate_gzip, corrupt_gzip, truncate_plain, cut_header, lengthen, wrong_magic,
        strange_label, remove, drop_a_label, same_size_other_content, no_file_at_all,
    ],
)  # fmt: skip
def test_a_damaged_idx_file_is_named_in_one_line(
    damage: Callable[[Path], str], tmp_path: Path
) -> None:
    folder = write_mnist(tmp_path / "files")
    name = damage(folder)
    with pytest.raises(DataError, match=name) as caught:
        load_dataset("mnist", folder)
    assert "\n" not in str(caught.value)


WHOLE = batch_bytes("data_batch_3.bin")


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        ("", WHOLE[:-1], "is truncated"),
        ("", b"", "is empty"),
        ("", WHOLE * 2501, "is too long"),
        ("", b"\x0a" + WHOLE[1:], "holds the label 10; labels are 0 to 9"),
        (".gz", gzip.compress(WHOLE)[:-20], "cannot be read"),
        (".gz", flipped(gzip.compress(WHOLE)), "cannot be read"),
        (".xz", lzma.compress(WHOLE)[:-20], "cannot be read"),
        (".xz", flipped(lzma.compress(WHOLE)), "cannot be read"),
        (".xz", WHOLE, "cannot be read"),
        (".bz2", bz2.compress(WHOLE)[:-20], "cannot be read"),
        (".bz2", flipped(bz2.compress(WHOLE)), "cannot be read"),
    ],
)
def test_a_damaged_batch_is_named_in_one_line(
    suffix: str, content: bytes, message: str, tmp_path: Path
) -> None:
    folder = write_cifar10(tmp_path / "files", suffix)
    path = folder / f"data_batch_3.bin{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path.name} {message}") as caught:
        load_dataset("cifar10", folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    folder = write_cifar10(tmp_path / "files")
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"has no file {name} \(plain or as \.gz, \.xz, \.bz2\)"):
        load_dataset("cifar10", folder)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_folder_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        load_dataset(name, tmp_path / "nowhere")


# --- OpenML -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "called"), [("mnist", "MNIST"), ("cifar10", "CIFAR-10")])
def test_without_a_network_the_way_out_is_named(
    name: str, called: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Through scikit-learn's own checks of what it is asked for, up to the connection."""

    def refuse(*_: object, **__: object) -> None:
        raise URLError(OSError(-3, "Temporary failure in name resolution"))

    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setattr("sklearn.datasets._openml.urlopen", refuse)
    monkeypatch.setattr("sklearn.datasets._openml.time.sleep", lambda _: None)
    with pytest.raises(DataError, match=f"{called} .*name resolution.* with --data-dir"):
        load_dataset(name)


@pytest.mark.parametrize(
    ("name", "dataset", "features", "train"),
    [("mnist", "mnist_784", 784, 60_000), ("cifar10", "CIFAR_10", 3072, 50_000)],
)
def test_what_openml_holds_is_split_after_the_training_images(
    name: str, dataset: str, features: int, train: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``fetch_openml`` returns is stood in for by images of one pixel that is not black."""
    asked = []
    labels = np.arange(train + 3) % 10
    pixels = np.zeros((train + 3, features), dtype=np.uint8)
    pixels[:, 0] = 1 + labels

    def fetch(asked_for: str, **settings: object) -> SimpleNamespace:
        asked.append((asked_for, settings["version"]))
        return SimpleNamespace(data=pixels, target=labels.astype(str))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    raw = LOADERS[name](None)
    assert asked == [(dataset, 1)]
    assert (len(raw.train_labels), raw.test_labels.tolist()) == (train, labels[train:].tolist())
    assert math.prod(raw.image_shape) == features
    assert dataset in raw.source


def test_images_that_are_no_grey_levels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bunch = SimpleNamespace(data=np.full((4, 784), 0.5), target=np.array(list("0123")))
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *_, **__: bunch)
    with pytest.raises(DataError, match="mnist_784 does not hold grey levels"):
        load_dataset("mnist")


# --- reductions ---------------------------------------------------------------------------------


def rows_of(x: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


def test_a_subset_keeps_random_training_images_and_the_first_to_test() -> None:
    digits = load_dataset("digits")
    part = subset(digits, train=400, test=50, seed=1)
    assert (len(part.train_y), len(part.validation_y), len(part.test_y)) == (400, 45, 50)
    assert rows_of(part.train_x) < rows_of(digits.train_x)
    assert torch.equal(part.validation_x, digits.validation_x[:45])
    assert torch.equal(part.test_x, digits.test_x[:50])
    assert torch.equal(part.test_y, digits.test_y[:50])
    assert part.checksums == digits.checksums
    for stated in ("400 of 1,293", "seed 1", "45 of 144", "50 of 360"):
        assert stated in part.source


def test_a_label_stays_with_its_image_in_a_subset() -> None:
    digits = load_dataset("digits")
    labels = {
        x.numpy().tobytes(): int(y) for x, y in zip(digits.train_x, digits.train_y, strict=True)
    }
    part = subset(digits, train=300, test=1, seed=5)
    assert [labels[x.numpy().tobytes()] for x in part.train_x] == part.train_y.tolist()


def test_the_seed_of_a_subset_decides_its_images() -> None:
    digits = load_dataset("digits")
    first, again, other = (subset(digits, 100, 10, seed).train_x for seed in (0, 0, 1))
    assert torch.equal(first, again)
    # Two draws of 100 out of 1,293 agree in all with probability far below 1e-100.
    assert rows_of(first) != rows_of(other)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 10), "train must be from 1 to 1293, got 0"),
        ((1294, 10), "train must be from 1 to 1293, got 1294"),
        ((10, 0), "test must be from 1 to 360, got 0"),
        ((10, 361), "test must be from 1 to 360, got 361"),
    ],
)
def test_a_subset_of_no_possible_size_is_refused(sizes: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        subset(load_dataset("digits"), *sizes)


def images(pixels: NDArray[np.uint8], variance: float = 1.0) -> Dataset:
    """A data set whose three parts are these images (n, channels, rows, columns)."""
    x = torch.from_numpy(normalize_images(pixels.reshape(len(pixels), -1), variance))
    y = torch.zeros(len(pixels), dtype=torch.int64)
    return Dataset("drawn", "drawn here", x, y, x, y, x, y, 10, pixels.shape[1:], {})


@given(
    pixels=arrays(np.uint8, (2, 3, 4, 8), elements=some.integers(0, 255)),
    factor=some.sampled_from([1, 2, 4]),
    variance=some.floats(0.01, 100.0),
)
def test_coarse_images_are_the_averages_of_blocks_at_the_old_variance(
    pixels: NDArray[np.uint8], factor: int, variance: float
) -> None:
    pixels[:, 0, :, :4], pixels[:, 0, :, 4:] = 0, 255  # no image averages to one colour
    coarse = coarsen(images(pixels, variance), factor)
    assert coarse.image_shape == (3, 4 // factor, 8 // factor)
    averages = np.zeros((2, *coarse.image_shape))
    for row in range(factor):
        for column in range(factor):
            averages += pixels[:, :, row::factor, column::factor]
    expected = normalize_images(averages.reshape(2, -1), variance)
    # float32 before and after: a few roundings of pixels that are at most 10 deviations, and
    # averages below 1e-5 of a deviation count as none.
    for part in (coarse.train_x, coarse.validation_x, coarse.test_x):
        np.testing.assert_allclose(part.numpy(), expected, rtol=0, atol=5e-5 * math.sqrt(variance))
        np.testing.assert_allclose(part.double().square().mean(1).numpy(), variance, rtol=1e-6)
    assert f"blocks of {factor} x {factor}" in coarse.source


def test_an_image_that_averages_to_one_colour_is_refused() -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, size=(3, 1, 8, 8), dtype=np.uint8)
    pixels[1, :, 1::2] = 255 - pixels[1, :, ::2]  # every block of 2 x 2 has the sum 510
    with pytest.raises(DataError, match="image 1 has the same value everywhere"):
        coarsen(images(pixels), 2)


def test_one_grey_level_in_one_block_is_contrast_enough() -> None:
    pixels = np.tile(np.array([[0, 255], [255, 0]], dtype=np.uint8), (1, 3, 16, 16))
    pixels[0, 1, 5, 7] ^= 1
    coarse = coarsen(images(pixels), 16)
    assert coarse.variance == pytest.approx(1.0, rel=1e-6)
    assert int(coarse.train_x.abs().argmax()) == 4  # green, above, left


@pytest.mark.parametrize("factor", [0, -2, 3, 16])
def test_a_factor_that_does_not_divide_the_image_is_refused(factor: int) -> None:
    with pytest.raises(ValueError, match=f"divisor of 8 rows and 8 columns, got {factor}"):
        coarsen(load_dataset("digits"), factor)


# --- data by its content ------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_listed_folders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment lists is no part of these tests, but for those of the real files."""
    if "data" not in request.keywords:
        monkeypatch.delenv("SPARSITY_THEORY_DATA", raising=False)


def test_data_is_found_by_its_content_however_it_is_compressed(tmp_path: Path) -> None:
    here = load_dataset("cifar10", write_cifar10(tmp_path / "here", ".xz"), seed=2)
    write_mnist(tmp_path / "there")
    write_cifar10(tmp_path / "there" / "cifar10")
    found = find_dataset(
        "cifar10", here.checksums, [tmp_path / "nowhere", tmp_path / "there"], seed=2
    )
    assert torch.equal(found.train_x, here.train_x)
    assert torch.equal(found.validation_y, here.validation_y)


def test_folders_that_the_environment_lists_are_searched_after_those_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = write_mnist(tmp_path / "first"), write_mnist(tmp_path / "second", ".xz")
    wanted = load_dataset("mnist", second).checksums
    monkeypatch.setenv("SPARSITY_THEORY_DATA", os.pathsep.join(["/nowhere", "", str(second)]))
    assert "train-images-idx3-ubyte.xz" in find_dataset("mnist", wanted).checksums
    assert "train-images-idx3-ubyte.gz" in find_dataset("mnist", wanted, [first]).checksums


def test_what_was_wrong_with_each_folder_is_told_in_one_line(tmp_path: Path) -> None:
    here = load_dataset("mnist", write_mnist(tmp_path / "here"))
    other, empty, cut = (tmp_path / name for name in ("other", "empty", "cut"))
    write_mnist(other)
    labels = other / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + bytes([9 - labels.read_bytes()[-1]]))
    empty.mkdir()
    write_mnist(cut)
    (cut / "t10k-images-idx3-ubyte").write_bytes(b"cut")
    with pytest.raises(DataError) as caught:
        find_dataset("mnist", here.checksums, [other, empty, cut, tmp_path / "nowhere"])
    for told in (
        "mnist with the checksums asked for was not found",
        f"{other} holds t10k-labels-idx1-ubyte of md5:",
        f"instead of {here.checksums['t10k-labels-idx1-ubyte']}",
        f"{empty} has no file",
        f"{cut / 't10k-images-idx3-ubyte'} is truncated",
        f"{tmp_path / 'nowhere'} cannot be read",
    ):
        assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_no_folder_is_named_the_variable_is(tmp_path: Path) -> None:
    here = load_dataset("mnist", write_mnist(tmp_path / "here"))
    with pytest.raises(DataError, match="no folder was named, nor does SPARSITY_THEORY_DATA"):
        find_dataset("mnist", here.checksums)


def test_nothing_is_found_by_no_checksums(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path / "files")
    with pytest.raises(DataError, match="was not found"):
        find_dataset("mnist", {}, [folder])


def test_digits_are_found_without_a_folder_and_told_from_others(tmp_path: Path) -> None:
    digits = load_dataset("digits", seed=4)
    found = find_dataset("digits", digits.checksums, [tmp_path], seed=4)
    assert torch.equal(found.train_x, digits.train_x)
    with pytest.raises(DataError, match="load_digits holds labels of md5:"):
        find_dataset("digits", {**digits.checksums, "labels": "md5:0"})


def test_reduced_data_is_found_as_the_whole_and_reduced_again() -> None:
    digits = load_dataset("digits")
    reduced = coarsen(subset(digits, 100, 20, seed=1), 2)
    again = coarsen(subset(find_dataset("digits", reduced.checksums), 100, 20, seed=1), 2)
    assert torch.equal(reduced.train_x, again.train_x)


# --- the real files -----------------------------------------------------------------------------


def real(name: str) -> Dataset:
    """Load the real files from the first folder that the environment lists."""
    return load_dataset(name, Path(os.environ["SPARSITY_THEORY_DATA"].split(os.pathsep)[0]))


@pytest.mark.data
def test_the_published_mnist_is_recognized() -> None:
    data = real("mnist")
    assert data.source == "MNIST as published"
    assert (len(data.train_y), len(data.validation_y), len(data.test_y)) == (54000, 6000, 10000)
    assert data.checksums["t10k-labels-idx1-ubyte"] == "md5:27ae3e4e09519cfbb04c329615203637"
    assert coarsen(data, 2).image_shape == (1, 14, 14)


@pytest.mark.data
def test_the_whole_of_cifar10_is_read() -> None:
    """A test batch has 1,000 images a class, and all batches together 6,000."""
    data = real("cifar10")
    assert data.source.startswith("CIFAR-10 ")
    assert (len(data.train_y), len(data.validation_y), len(data.test_y)) == (45000, 5000, 10000)
    assert torch.bincount(data.test_y).tolist() == [1000] * 10
    assert torch.bincount(torch.cat([data.train_y, data.validation_y])).tolist() == [5000] * 10
    assert coarsen(data, 4).image_shape == (3, 8, 8)
