"""The command that predicts, builds, trains and judges: its data, its records and its verdicts."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sparsity_theory.forecast import expected_outcome
from torch_models.data import (
    DIGITS_TEST_SIZE,
    DataError,
    Dataset,
    held_out_split,
    load_dataset,
    normalize_images,
)
from torch_models.experiments import DEFAULT_ROWS, Row, Settings, chosen_rows, run_name
from torch_models.figures import cobweb, save_figure
from torch_models.records import ensure_writable, read_record, replacing, write_record
from torch_models.reproduce import (
    Initialization,
    Prediction,
    RowReport,
    judge,
    kept_within,
    member_result,
    predict,
    record_of,
    run_row,
)
from torch_models.training import Divergence, EpochStatistics

SMALL = Settings(width=40, depth=3, seeds=2, epochs=2, batch_size=64)
STABLE = Row("crelu", 0.7, 0.5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are tiny, and the command sets the number of threads for its process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Silent:
    """A watcher that only keeps what happened, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_prediction(self, prediction: Prediction) -> None:
        """Keep it."""
        self.calls.append("prediction")

    def on_initialization(self, initialization: Initialization) -> None:
        """Keep it."""
        self.calls.append("initialization")

    def on_epoch(self, statistics: EpochStatistics) -> None:
        """Keep it."""
        self.calls.append("epoch")


# --- data ---------------------------------------------------------------------------------------


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


def test_an_image_of_one_colour_is_refused_by_its_index() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(3, 16)
    pixels[1] = 7
    with pytest.raises(DataError, match="image 1 has the same value everywhere"):
        normalize_images(pixels, 1.0)


def test_the_digits_are_split_into_disjoint_parts() -> None:
    held_out, kept = held_out_split(1437, seed=0)
    assert sorted([*held_out.tolist(), *kept.tolist()]) == list(range(1437))
    digits = load_dataset("digits")
    sizes = len(digits.train_y), len(digits.validation_y), len(digits.test_y)
    assert sizes == (1293, 144, DIGITS_TEST_SIZE)
    assert sum(sizes) == 1797
    images = torch.cat([digits.train_x, digits.validation_x, digits.test_x])
    assert len(torch.unique(images, dim=0)) == 1797  # no image in two parts


def test_the_seed_moves_the_held_out_part_and_never_the_test_set() -> None:
    first, second = load_dataset("digits", seed=0), load_dataset("digits", seed=1)
    assert torch.equal(first.test_x, second.test_x)
    assert not torch.equal(first.validation_y, second.validation_y)
    assert torch.equal(first.validation_x, load_dataset("digits", seed=0).validation_x)


IDX = {
    "train-images-idx3-ubyte": (2051, (20, 4, 3)),
    "train-labels-idx1-ubyte": (2049, (20,)),
    "t10k-images-idx3-ubyte": (2051, (10, 4, 3)),
    "t10k-labels-idx1-ubyte": (2049, (10,)),
}


def idx_bytes(name: str) -> bytes:
    """A small file in the format of the MNIST file of that name."""
    magic, shape = IDX[name]
    body = np.random.default_rng(len(name)).integers(0, 10, size=shape, dtype=np.uint8)
    return struct.pack(f">{1 + len(shape)}I", magic, *shape) + body.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in MNIST's layout: two files compressed, two plain."""
    path = tmp_path / "mnist"
    path.mkdir()
    for name in IDX:
        data = idx_bytes(name)
        if name.startswith("train"):
            (path / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (path / name).write_bytes(data)
    return path


def test_idx_files_are_read_plain_or_compressed(folder: Path) -> None:
    data = load_dataset("mnist", folder, variance=0.75)
    assert (data.features, len(data.train_y), len(data.validation_y), len(data.test_y)) == (
        12, 18, 2, 10,
    )  # fmt: skip
    expected = np.frombuffer(idx_bytes("t10k-images-idx3-ubyte"), np.uint8, offset=16)
    np.testing.assert_array_equal(
        data.test_x.numpy(), normalize_images(expected.reshape(10, 12), 0.75)
    )
    assert set(data.checksums) == {*IDX, *(path.name for path in folder.iterdir())}
    assert "not the published" in data.source


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
def test_a_damaged_file_is_named_in_one_line(
    folder: Path, damage: Callable[[Path], str], tmp_path: Path
) -> None:
    name = damage(folder)
    with pytest.raises(DataError, match=name) as caught:
        load_dataset("mnist", folder)
    assert "\n" not in str(caught.value)
    result = invoke("reproduce", "--data", "mnist", "--data-dir", folder, "--output", tmp_path)
    assert_one_line(result, 1, name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        load_dataset("mnist", tmp_path / "nowhere")


def test_without_a_network_the_way_out_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError(OSError(-3, "Temporary failure in name resolution"))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    result = invoke("reproduce", "--data", "mnist", "--output", tmp_path)
    assert_one_line(result, 1, "--data-dir")
    assert "name resolution" in result.stderr


@pytest.mark.data
def test_the_published_mnist_is_recognized() -> None:
    data = load_dataset("mnist", Path(os.environ["MNIST_DIR"]))
    assert data.source == "MNIST as published"
    assert (len(data.train_y), len(data.validation_y), len(data.test_y)) == (54000, 6000, 10000)
    assert data.checksums["t10k-labels-idx1-ubyte.gz"] == "md5:ec29112dd5afa0611ce80d1b7f02629c"


# --- rows, settings and names -------------------------------------------------------------------


def test_a_row_names_itself_for_people_and_for_files() -> None:
    assert [row.label for row in DEFAULT_ROWS] == [
        "CReLU s=0.85 V'=0.7",
        "CST s=0.85 V'=0.9",
        "ST s=0.8",
    ]
    assert [row.slug for row in DEFAULT_ROWS] == ["crelu-0.85-0.7", "cst-0.85-0.9", "st-0.8"]


def test_unclipped_rows_start_below_their_unstable_fixed_point() -> None:
    assert [row.input_variance() for row in DEFAULT_ROWS] == [1.0, 1.0, 0.75]
    assert Row("relu", 0.5).input_variance() == 1.0  # tau = 0: every q is a fixed point


def test_a_row_of_ones_own_replaces_the_three() -> None:
    assert chosen_rows() == DEFAULT_ROWS
    assert chosen_rows("cst") == (Row("cst", 0.85, 0.7),)
    assert chosen_rows("st", 0.6) == (Row("st", 0.6),)


def test_every_setting_that_decides_the_outcome_is_in_the_name() -> None:
    names = {run_name(DEFAULT_ROWS[0], Settings()), run_name(DEFAULT_ROWS[1], Settings())}
    changes: list[dict[str, Any]] = [
        {"width": 301}, {"depth": 31}, {"seeds": 4}, {"epochs": 7}, {"learning_rate": 0.5},
        {"batch_size": 33}, {"data": "mnist"},
    ]  # fmt: skip
    names |= {run_name(DEFAULT_ROWS[0], replace(Settings(), **change)) for change in changes}
    assert len(names) == 2 + len(changes)
    assert run_name(DEFAULT_ROWS[0], Settings()) == run_name(Row("crelu", 0.85, 0.7), Settings())


# --- records ------------------------------------------------------------------------------------


def test_a_record_is_strict_json_whatever_the_figures(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    figures = {"a": math.nan, "b": np.array([1.0, -math.inf]), "c": Path("x"), "d": np.float32(0.5)}
    write_record(path, {**figures, "row": Row("st", 0.8)})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        "a": None, "b": [1.0, "-inf"], "c": "x", "d": 0.5,
        "row": {"kind": "st", "sparsity": 0.8, "slope": None},
    }  # fmt: skip
    assert read_record(path)["b"] == [1.0, "-inf"]


def test_an_interrupted_write_leaves_the_old_record_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, {"run": 1})
    with contextlib.suppress(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text('{"run": 2')
        raise KeyboardInterrupt
    with pytest.raises(TypeError):
        write_record(path, {"run": object()})
    assert read_record(path) == {"run": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("text", ["", '{"run": 1', "[1, 2]"])
def test_what_is_no_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "half.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"half\.json is not a valid record"):
        read_record(path)


def test_a_folder_is_made_and_left_empty_by_the_trial_write(tmp_path: Path) -> None:
    ensure_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


# --- the verdict --------------------------------------------------------------------------------


def test_the_theory_takes_a_side_on_each_of_the_default_rows() -> None:
    outcomes = [predict(row, Settings()).outcome for row in DEFAULT_ROWS]
    assert outcomes == ["trains", "fails", "fails"]


@pytest.mark.parametrize(
    ("probability", "outcome"), [(0.0, "trains"), (0.05, "trains"), (0.07, "open"), (0.1, "fails")]
)
def test_the_forecast_is_turned_into_a_prediction(probability: float, outcome: str) -> None:
    assert expected_outcome(probability) == outcome


@pytest.mark.parametrize(
    ("divergence", "kept", "accuracy", "result"),
    [
        (None, True, 0.9, "trained"),
        (None, True, 0.49, "not learned"),
        (None, False, 0.9, "sparsity lost"),
        (Divergence(41, 1, "sparsity lost"), True, 0.9, "sparsity lost"),
        (Divergence(2, 1, "non-finite loss"), True, 0.9, "diverged"),
    ],
)
def test_a_network_ends_in_one_of_four_ways(
    divergence: Divergence | None, kept: bool, accuracy: float, result: str
) -> None:
    assert member_result(divergence, kept, accuracy) == result


def test_narrow_networks_may_be_further_from_the_mean_field() -> None:
    assert [kept_within(width) for width in (1000, 300, 75)] == [0.05, 0.05, 0.1]


@pytest.mark.parametrize(
    ("outcome", "results", "status"),
    [
        ("trains", ["trained", "trained"], "as the theory says"),
        ("trains", ["trained", "diverged"], "not as the theory says"),
        ("trains", ["not learned", "sparsity lost"], "not as the theory says"),
        ("trains", ["trained", "not learned"], "undecided"),
        ("fails", ["diverged", "sparsity lost"], "as the theory says"),
        ("fails", ["trained", "diverged"], "as the theory says"),
        ("fails", ["trained", "trained"], "not as the theory says"),
        ("fails", ["not learned", "not learned"], "undecided"),
        ("open", ["trained", "trained"], "open"),
    ],
)
def test_the_verdict_can_go_either_way(outcome: str, results: list[str], status: str) -> None:
    assert judge(outcome, results).status == status


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def test_a_row_that_trains_is_confirmed_and_a_wild_step_size_refutes_it() -> None:
    settings = replace(SMALL, epochs=6, learning_rate=0.05, batch_size=32)
    watcher = Silent()
    shallow = Row("relu", 0.6)
    digits = load_dataset("digits", variance=shallow.input_variance())
    report = run_row(shallow, settings, digits, watcher)
    assert report.prediction.outcome == "trains"
    assert report.verdict.status == "as the theory says"
    assert watcher.calls == ["prediction", "initialization", *["epoch"] * 6]
    wild = run_row(shallow, replace(settings, learning_rate=1e4), digits, Silent())
    assert wild.verdict.status == "not as the theory says"


@pytest.fixture(scope="module")
def report(digits: Dataset) -> RowReport:
    return run_row(STABLE, SMALL, digits, Silent())


def test_a_record_holds_everything_that_was_set_predicted_and_seen(
    report: RowReport, digits: Dataset, tmp_path: Path
) -> None:
    write_record(tmp_path / "row.json", record_of(report, digits))
    record = read_record(tmp_path / "row.json")
    assert record["settings"]["width"] == 40
    assert record["seeds"] == [0, 1]
    assert record["versions"]["torch"].startswith("2.")
    assert record["data"]["checksums"]["pixels"].startswith("md5:")
    assert record["prediction"]["tau"] == report.prediction.tau
    assert np.shape(record["initialization"]["variance"]) == (2, 3)
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2]
    assert [member["result"] for member in record["members"]] == [m.result for m in report.members]
    assert os.uname().nodename not in json.dumps(record["hardware"])


def test_the_picture_is_a_png_even_when_everything_blew_up(
    report: RowReport, tmp_path: Path
) -> None:
    blown_up = replace(
        report,
        initialization=replace(
            report.initialization, variance=np.array([[1.0, 50.0, math.inf], [1.0, 2.0, math.nan]])
        ),
        epochs=tuple(
            replace(epoch, validation_accuracy=np.array([math.nan, 0.1])) for epoch in report.epochs
        ),
    )
    for name, drawn in (("a.png", report), ("b.png", blown_up)):
        save_figure(drawn, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cobweb_goes_from_the_diagonal_to_the_next_variance_and_back() -> None:
    x, y = cobweb(np.array([1.0, 2.0, 4.0]))
    assert list(zip(x, y, strict=True)) == [(1, 1), (1, 2), (2, 2), (2, 4), (4, 4)]


# --- the command --------------------------------------------------------------------------------


def invoke(*arguments: object) -> Any:
    """Run the command line in this process."""
    from typer.testing import CliRunner

    from sparsity_theory.cli import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_one_line(result: Any, code: int, message: str) -> None:
    """The command ended with this code, one line on standard error, and no traceback."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--activation", "crelu", "--sparsity", "1.2"), "got 1.2"),
        (("--activation", "crelu", "--sparsity", "nan"), "got nan"),
        (("--activation", "crelu", "--slope", "1.5"), "got 1.5"),
        (("--activation", "st", "--slope", "0.7"), "clipped"),
        (("--activation", "gelu"), "got 'gelu'"),
        (("--sparsity", "0.7"), "activation"),
        (("--width", "0"), "width must be at least 1"),
        (("--depth", "1"), "depth must be at least 2"),
        (("--seeds", "0"), "seeds must be at least 1"),
        (("--epochs", "-1"), "epochs must be at least 1"),
        (("--batch-size", "0"), "batch size must be at least 1"),
        (("--batch-size", "2000"), "batch size must be at most 1293"),
        (("--learning-rate", "inf"), "learning rate must be positive and finite"),
        (("--threads", "0"), "threads must be at least 1"),
        (("--data", "cifar"), "got 'cifar'"),
    ],
)
def test_a_bad_value_is_one_clear_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    assert_one_line(invoke("reproduce", *arguments, "--output", tmp_path), 2, message)


def test_an_output_folder_that_cannot_be_written_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = invoke("reproduce", "--output", tmp_path / "file" / "runs")
    assert_one_line(result, 1, "cannot be written")


def test_digits_take_no_folder(tmp_path: Path) -> None:
    result = invoke("reproduce", "--data-dir", tmp_path, "--output", tmp_path)
    assert_one_line(result, 1, "need no data folder")


def test_a_row_runs_from_parameters_to_files_in_plain_text(folder: Path, tmp_path: Path) -> None:
    result = invoke(
        "reproduce", "--activation", "st", "--sparsity", 0.8, "--width", 20, "--depth", 3,
        "--seeds", 2, "--epochs", 2, "--batch-size", 8, "--data", "mnist", "--data-dir", folder,
        "--output", tmp_path / "runs",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for text in ("tau 1.2816", "sigma_w^2 5.0000", "V'(q*) 1.000", "q^3", "test accuracy"):
        assert text in result.output
    assert "\x1b" not in result.output
    assert "\r" not in result.output
    record, picture = sorted((tmp_path / "runs").iterdir())
    assert read_record(record)["row"]["label"] == "ST s=0.8"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(record) in result.output


LAUNCH = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from sparsity_theory.cli import main; main()"
)
"""The console script, with Ctrl-C as in a terminal, whatever the parent of this process ignores."""


def test_ctrl_c_while_training_keeps_the_finished_rows(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LAUNCH, "reproduce", "--width", "40", "--depth", "3"]
    command += ["--seeds", "1", "--epochs", "8", "--output", str(tmp_path), "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        patience = time.monotonic() + 120
        while not list(tmp_path.glob("*.json")) and time.monotonic() < patience:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode().count("\n") == 1
    assert "interrupted" in error.decode()
    records = list(tmp_path.glob("*.json"))
    assert len(records) == 1
    assert read_record(records[0])["row"]["label"] == DEFAULT_ROWS[0].label
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("torch", "['reproduce', '--epochs', '3']", "reproduce needs torch: pip install"),
        ("matplotlib", "['reproduce']", "reproduce needs matplotlib: pip install"),
        ("typer", "['solve']", "pip install 'sparsity-theory[cli]'"),
        ("nothing", "['reproduce', '--epochs', 'many']", "Invalid value for '--epochs'"),
        ("nothing", "['reproduce', '--epoch']", "--epoch"),
    ],
)
def test_what_is_missing_or_misspelt_is_one_line(
    module: str, arguments: str, message: str, tmp_path: Path
) -> None:
    script = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = {arguments};"
        "from sparsity_theory.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
