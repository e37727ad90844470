"""The command that predicts, builds, trains and judges: its records and its verdicts."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from property_tests.support.images import write_mnist
from sparsity_theory.finite_width.forecast import expected_outcome
from sparsity_theory.published.rows import DEFAULT_DESIGNS, Design, chosen_designs
from torch_models.experiments.build import dataset_loader
from torch_models.experiments.progress import NoProgress
from torch_models.experiments.trainer import train_runs
from torch_models.records.files import ensure_writable, read_record, replacing, write_record
from torch_models.records.outcomes import kept_within, outcome_of
from torch_models.records.prediction import judge, predict
from torch_models.records.row_report import RowReport
from torch_models.records.run_record import read_run_record
from torch_models.records.runs import Run, budget_in_words, runs_of, three_rows_budget
from torch_models.reports.row_figure import cobweb, save_figure

SMALL = three_rows_budget("digits", width=40, depth=3, epochs=2, batch_size=64)
STABLE = Design("crelu", 0.7, 0.5)


# --- rows, settings and names -------------------------------------------------------------------


def test_a_row_names_itself_for_people_and_for_files() -> None:
    assert [row.label for row in DEFAULT_DESIGNS] == [
        "CReLU s=0.85 V'=0.7",
        "CST s=0.85 V'=0.9",
        "ST s=0.8",
    ]
    assert [row.slug for row in DEFAULT_DESIGNS] == ["crelu-0.85-0.7", "cst-0.85-0.9", "st-0.8"]


def test_unclipped_rows_start_below_their_unstable_fixed_point() -> None:
    assert [row.input_variance() for row in DEFAULT_DESIGNS] == [1.0, 1.0, 0.75]
    assert Design("relu", 0.5).input_variance() == 1.0  # tau = 0: every q is a fixed point


def test_a_row_of_ones_own_replaces_the_three() -> None:
    assert chosen_designs() == DEFAULT_DESIGNS
    assert chosen_designs("cst") == (Design("cst", 0.85, 0.7),)
    assert chosen_designs("st", 0.6) == (Design("st", 0.6),)


def test_every_setting_that_decides_the_outcome_is_in_the_name() -> None:
    budget = three_rows_budget("digits")
    run = Run(None, DEFAULT_DESIGNS[0], budget.name, budget.experiment, 0)
    names = {run.name, replace(run, design=DEFAULT_DESIGNS[1]).name, replace(run, seed=1).name}
    changes: list[dict[str, Any]] = [
        {"width": 301}, {"depth": 31}, {"epochs": 7}, {"learning_rate": 0.5}, {"batch_size": 33},
        {"momentum": 0.9},
    ]  # fmt: skip
    for change in changes:
        changed = three_rows_budget("digits", **change)
        names.add(replace(run, experiment=changed.experiment).name)
    names.add(replace(run, experiment=three_rows_budget("mnist").experiment).name)
    assert len(names) == 4 + len(changes)
    assert replace(run, design=Design("crelu", 0.85, 0.7)).name == run.name
    assert run.name.startswith("dnn-three-rows-crelu-0.85-0.7-seed-0-")


def test_a_budget_that_was_changed_is_custom_and_one_that_was_not_keeps_its_name() -> None:
    assert three_rows_budget("digits", width=300, depth=None).name == "three-rows"
    assert three_rows_budget("digits", width=301).name == "custom"


def test_three_rows_that_were_trained_for_other_epochs_are_called_by_their_budget() -> None:
    for changes, said in (({"epochs": 2}, "three-rows for 2 epochs"), ({"width": 9}, "custom")):
        for data in ("digits", "mnist"):
            changed = three_rows_budget(data, **changes)
            assert budget_in_words(None, changed.name, changed.experiment) == said


# --- records ------------------------------------------------------------------------------------


def test_a_record_is_strict_json_whatever_the_figures(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    figures = {"a": math.nan, "b": np.array([1.0, -math.inf]), "c": Path("x"), "d": np.float32(0.5)}
    write_record(path, {**figures, "row": Design("st", 0.8)})

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
    experiment = three_rows_budget("digits").experiment
    outcomes = [predict(row, experiment, 1293).outcome for row in DEFAULT_DESIGNS]
    assert outcomes == ["trains", "explodes", "explodes"]


@pytest.mark.parametrize(
    ("probability", "learnability", "dead", "outcome"),
    [
        (0.0, 1.0, 0.0, "trains"),
        (0.5, 1.0, 0.0, "trains"),
        (0.51, 1.0, 0.0, "explodes"),
        (0.51, -3.0, 0.0, "explodes"),
        (0.0, -3.0, 0.0, "learns slowly"),
        (0.0, -math.inf, 0.0, "learns slowly"),
        (0.51, -3.0, 0.51, "dead"),
    ],
)
def test_the_forecast_is_turned_into_a_prediction(
    probability: float, learnability: float, dead: float, outcome: str
) -> None:
    assert expected_outcome(probability, learnability, dead) == outcome


@pytest.mark.parametrize(
    ("divergence", "kept", "accuracy", "result"),
    [
        (None, True, 0.9, "trained"),
        (None, True, 0.49, "not learned"),
        (None, False, 0.9, "sparsity lost"),
        ("sparsity halved", True, 0.9, "sparsity lost"),
        ("non-finite loss", True, 0.9, "diverged"),
    ],
)
def test_a_training_has_one_of_four_outcomes(
    divergence: str | None, kept: bool, accuracy: float, result: str
) -> None:
    assert outcome_of(divergence, kept, accuracy) == result


def test_narrow_networks_may_be_further_from_the_mean_field() -> None:
    assert [kept_within(width) for width in (1000, 300, 75)] == [0.05, 0.05, 0.1]


@pytest.mark.parametrize(
    ("outcome", "probability", "results", "status"),
    [
        ("trains", 0.002, ["trained", "trained"], "as the theory says"),
        ("trains", 0.002, ["trained", "diverged"], "not as the theory says"),
        ("trains", 0.3, ["trained", "diverged"], "as the theory says"),
        ("trains", 0.002, ["not learned", "sparsity lost"], "not as the theory says"),
        ("trains", 0.002, ["trained", "not learned"], "undecided"),
        ("explodes", 0.9, ["diverged", "sparsity lost"], "as the theory says"),
        ("explodes", 0.9, ["trained", "diverged"], "as the theory says"),
        ("explodes", 0.95, ["trained", "trained"], "not as the theory says"),
        ("explodes", 0.6, ["trained", "trained"], "undecided"),
        ("learns slowly", 0.01, ["trained", "not learned"], "as the theory says"),
        ("learns slowly", 0.01, ["trained", "trained"], "undecided"),
        ("learns slowly", 0.01, ["diverged", "diverged"], "not as the theory says"),
        ("dead", 0.0, ["not learned", "not learned"], "as the theory says"),
        ("dead", 0.0, ["trained", "not learned"], "not as the theory says"),
    ],
)
def test_the_verdict_can_go_either_way(
    outcome: str, probability: float, results: list[str], status: str
) -> None:
    assert judge(outcome, probability, results).status == status


def report_of(row: Design, **changes: Any) -> RowReport:
    """Two small networks of a row, trained on the digits and judged."""
    budget = three_rows_budget("digits", **{"width": 40, "depth": 3, "batch_size": 64, **changes})
    experiment = budget.experiment
    runs, dataset = runs_of(None, budget, [row], range(2)), dataset_loader(None)(experiment)
    records = sorted(train_runs(runs, dataset, NoProgress()), key=lambda each: each.run.seed)
    prediction = predict(row, experiment, records[0].data["train"])
    return RowReport.of(prediction, records)


def test_a_row_that_trains_is_confirmed_and_a_wild_step_size_refutes_it() -> None:
    shallow = Design("relu", 0.6)
    report = report_of(shallow, epochs=6, learning_rate=0.05, batch_size=32)
    assert report.prediction.outcome == "trains"
    assert report.verdict.status == "as the theory says"
    wild = report_of(shallow, epochs=1, learning_rate=10.0, batch_size=32)
    assert wild.verdict.status == "not as the theory says"


@pytest.fixture(scope="module")
def report() -> RowReport:
    return report_of(STABLE, epochs=2)


def test_a_record_holds_everything_that_was_set_and_seen(report: RowReport, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_record(path, report.records[0].to_json())
    record = read_record(path)
    assert record["experiment"]["width"] == 40
    assert (record["table"], record["seed"]) == (None, 0)
    assert record["provenance"]["versions"]["torch"].startswith("2.")
    assert record["data"]["checksums"]["pixels"].startswith("md5:")
    assert np.shape(record["initialization"]["image_variance"]) == (3,)
    assert 0 <= record["initialization"]["validation_accuracy"] <= 1
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2]
    assert os.uname().nodename not in json.dumps(record["provenance"]["hardware"])
    assert read_run_record(path).outcome == report.records[0].outcome


def test_the_picture_is_a_png_even_when_everything_blew_up(
    report: RowReport, tmp_path: Path
) -> None:
    paths = ((1.0, 50.0, math.inf), (1.0, 2.0, math.nan))
    blown_up = replace(
        report,
        records=tuple(
            replace(
                record,
                initialization=replace(record.initialization, image_variance=path),
                epochs=tuple(
                    replace(epoch, validation_accuracy=math.nan) for epoch in record.epochs
                ),
            )
            for record, path in zip(report.records, paths, strict=True)
        ),
    )
    for name, drawn in (("a.png", [report]), ("b.png", [blown_up, report])):
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

    from torch_models.commands.app import app

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
        (("--threads", "0"), "threads must be between 1 and"),
        (("--data", "cifar10"), "data must be one of digits, mnist, got 'cifar10'"),
        (("--device", "cuda:99"), "device cuda:99 is not there"),
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


def test_a_damaged_file_is_named_in_one_line(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path / "mnist")
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"cut")
    result = invoke("reproduce", "--data", "mnist", "--data-dir", folder, "--output", tmp_path)
    assert_one_line(result, 1, "t10k-labels-idx1-ubyte")


def test_without_a_network_the_way_out_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError(OSError(-3, "Temporary failure in name resolution"))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    result = invoke("reproduce", "--data", "mnist", "--output", tmp_path)
    assert_one_line(result, 1, "--data-dir")
    assert "name resolution" in result.stderr


def test_digits_take_no_folder(tmp_path: Path) -> None:
    result = invoke("reproduce", "--data-dir", tmp_path, "--output", tmp_path)
    assert_one_line(result, 1, "need no data folder")


def test_a_row_runs_from_parameters_to_files_in_plain_text(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path / "mnist")
    result = invoke(
        "reproduce", "--activation", "st", "--sparsity", 0.8, "--width", 20, "--depth", 3,
        "--seeds", 2, "--epochs", 2, "--batch-size", 8, "--data", "mnist", "--data-dir", folder,
        "--output", tmp_path / "runs", "--plot", tmp_path / "all.svg",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "all.svg").read_text().startswith("<?xml")
    for text in ("tau 1.2816", "sigma_w^2 5.0000", "V'(q*) 1.000", "q^3", "test accuracy"):
        assert text in result.output
    assert f"sparsity-theory report {tmp_path / 'runs'}" in result.output
    assert "\x1b" not in result.output
    assert "\r" not in result.output
    (picture,) = (tmp_path / "runs").glob("*.png")
    records = sorted((tmp_path / "runs").glob("*.json"))
    assert [read_record(record)["row"]["label"] for record in records] == ["ST s=0.8"] * 2
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in result.output


def test_a_second_command_trains_nothing_and_says_the_same(tmp_path: Path) -> None:
    arguments: list[object] = ["reproduce", "--activation", "crelu", "--sparsity", 0.7]
    arguments += ["--width", 20, "--depth", 3, "--seeds", 2, "--epochs", 1, "--output", tmp_path]
    first = invoke(*arguments, "--json")
    assert first.exit_code == 0, first.output
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(written) == 2
    again = invoke(*arguments, "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert "0 trained now, 2 found finished" in again.stderr
    (report,) = json.loads(first.stdout)
    assert report["experiment"]["width"] == 20
    assert [run["seed"] for run in report["runs"]] == [0, 1]


def test_an_option_of_tables_is_unknown_to_a_row(tmp_path: Path) -> None:
    for option in ("--table", "--row", "--network", "--budget"):
        result = invoke("reproduce", option, "2", "--output", tmp_path)
        assert result.exit_code == 2
        assert not list(tmp_path.iterdir())


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from torch_models.commands.main import main
from torch_models.training.loop import Training

signal.signal(signal.SIGINT, signal.default_int_handler)
folder, advance = Path(sys.argv[sys.argv.index("--output") + 1]), Training.advance

def interrupted(training):
    if training.step == 2 and list(folder.glob("*.json")):
        os.kill(os.getpid(), signal.SIGINT)
    advance(training)

Training.advance = interrupted
main()
"""
"""The console script, with Ctrl-C as in a terminal, whatever the parent of this process ignores.

It comes in the third step after a row is finished, however fast the machine is.
"""


def test_ctrl_c_while_training_keeps_the_finished_rows(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, "reproduce", "--width", "40", "--depth", "3"]
    command += ["--seeds", "1", "--epochs", "8", "--output", str(tmp_path), "--threads", "1"]
    process = subprocess.run(command, capture_output=True, timeout=120, text=True)
    assert process.returncode == 130
    assert process.stderr.count("\n") == 1
    assert "interrupted" in process.stderr
    records = list(tmp_path.glob("*.json"))
    assert len(records) == 1
    assert read_record(records[0])["row"]["label"] == DEFAULT_DESIGNS[0].label
    assert {path.name for path in tmp_path.glob(".*")} == {".locks"}


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
        "from torch_models.commands.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="it is no regular file"), replacing(pipe) as temporary:
        temporary.touch()
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
