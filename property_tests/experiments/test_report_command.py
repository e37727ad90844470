"""The page that tells what was run: its numbers, its verdicts, its commands and its mistakes."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sparsity_theory as st
from property_tests.support.runs import run_record, write_run
from sparsity_theory.published.rows import Design
from torch_models.data import load_dataset
from torch_models.records.files import write_record
from torch_models.records.prediction import predict
from torch_models.records.row_report import RowReport
from torch_models.records.run_record import RunRecord
from torch_models.records.runs import SIDES, Run, find_budget, runs_of, three_rows_budget
from torch_models.records.settings import settings_of
from torch_models.records.unfinished import unfinished_runs
from torch_models.reports.canvas import new_figure
from torch_models.reports.inline_svg import inline_svg
from torch_models.reports.rerun import command_of

CRELU = Design("crelu", 0.85, 0.7)
CST = Design("cst", 0.85, 0.9)
SMALL: dict[str, Any] = {"width": 30, "depth": 4}


def invoke(*arguments: object) -> Any:
    """Run the command line in this process."""
    from typer.testing import CliRunner

    from torch_models.commands.app import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class Text(HTMLParser):
    """What a page shows, article by article, and the addresses that it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.all = ""
        self.articles: list[str] = []
        self.data: list[dict[str, str | None]] = []
        self.addresses: list[str | None] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an article; note addresses and ids."""
        named = dict(attrs)
        self.addresses += [named[name] for name in ("src", "href", "xlink:href") if name in named]
        if named.get("id"):
            self.ids.append(str(named["id"]))
        if tag in ("th", "td"):
            self.all += " "
        if tag == "article":
            self.articles.append("")
            self.data.append(named)

    def handle_data(self, data: str) -> None:
        """Add to the page, and to its last article."""
        self.all += data
        if self.articles:
            self.articles[-1] += data


def of_no_table(record: RunRecord, **changes: Any) -> RunRecord:
    """The same record of a run that was trained outside of a table, on digits."""
    budget = three_rows_budget("digits", **changes)
    run = replace(record.run, table=None, budget=budget.name, experiment=budget.experiment)
    return replace(record, run=run)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows of Table 2 at a small size, one row outside of tables, and files that are none."""
    runs = tmp_path_factory.mktemp("runs") / "R&D"
    options = {"budget": "custom", **SMALL}
    for seed, accuracy in enumerate((0.9, 0.95)):
        write_run(runs, CRELU, accuracy, seed=seed, **options)
    for seed in range(3):
        kind = "gradient above 1e6"
        write_run(runs, CST, 0.1, seed=seed, sparsity=0.2, divergence=kind, losses=(), **options)
    alone = of_no_table(run_record(Design("relu", 0.6), 0.9, budget="custom", **SMALL), **SMALL)
    write_record(runs / "alone.json", alone.to_json())
    (runs / "half<b>.json").write_text('{"half": ')
    (runs / "begun.checkpoint.safetensors").touch()
    return runs


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    """The page of that folder."""
    result = invoke("report", folder)
    assert result.exit_code == 0, result.output
    assert "left out" in result.stderr
    assert f"written to {folder / 'report.html'}" in result.stderr
    return (folder / "report.html").read_text(encoding="utf-8")


# --- what the page says -------------------------------------------------------------------------


def test_a_summary_counts_networks_and_those_that_ended_as_forecast(page: str) -> None:
    text = " ".join(Text(page).all.split())
    assert "6 networks of 3 rows were trained; 3 of 6 ended as forecast." in text
    assert "2 are as the theory says, 1 is not as the theory says." in text
    assert "1 file left out, 1 run unfinished" in text


def test_every_row_has_its_forecast_its_outcomes_and_its_verdicts(page: str) -> None:
    found = Text(page)
    alone, crelu, cst = found.articles
    for article, row in ((alone, Design("relu", 0.6)), (crelu, CRELU), (cst, CST)):
        net = row.net()
        assert row.label in article
        assert f"sigma_w² {net.sigma_w2:.4f}, sigma_b² {net.sigma_b2:.4f}" in article
        assert "Forecast:" in article
    assert "2 of 2 trained" in crelu
    assert "0.925 ± 0.035, in the paper's Table 2 0.94 ± 0.004" in crelu
    assert "3 of 3 diverged" in cst
    assert "diverged: gradient above 1e6 at step 2" in cst
    assert [each["data-verdict"] for each in found.data] == [
        "as the theory says",
        "as the theory says",
        "not as the theory says",
    ]
    assert [each["data-outcome"] for each in found.data] == ["trained", "trained", "diverged"]
    assert {each["data-comparison"] for each in found.data} == {"as in the paper"}


def test_settings_stand_beside_the_papers(page: str) -> None:
    text = " ".join(Text(page).all.split())
    assert "width 30 300 depth 4 100 epochs 10 200 learning rate 0.002 0.0001" in text
    assert "Single rows, dense networks, width 30, depth 4, budget custom" in text


def test_what_is_no_record_and_what_is_unfinished_is_named_and_escaped(page: str) -> None:
    assert "half<b>.json is not a valid record" in Text(page).all
    assert "half<b>" not in page
    assert "begun.checkpoint.safetensors" in page
    assert "R&amp;D" in page


def test_the_page_stands_alone_and_has_every_id_once(page: str) -> None:
    found = Text(page)
    outside = [each for each in found.addresses if each is None or not each.startswith("#")]
    assert outside == []
    assert "@import" not in page
    assert len(set(found.ids)) == len(found.ids)
    assert {f"#{name}" for name in found.ids} >= set(found.addresses)


def test_the_same_records_give_the_same_page(folder: Path, page: str, tmp_path: Path) -> None:
    path = tmp_path / "again.html"
    assert invoke("report", folder, "--output", path).exit_code == 0
    assert path.read_text(encoding="utf-8") == page


# --- mistakes -----------------------------------------------------------------------------------


def assert_one_line(result: Any, code: int, message: str) -> None:
    """The command ended with this code and one line on standard error, the last of it."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    *_, last = result.stderr.splitlines()
    assert last.startswith("error: ")
    assert message in last


def test_a_folder_that_is_missing_or_has_no_record_is_one_clear_line(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert_one_line(invoke("report", missing), 2, f"must be a folder that exists, got '{missing}'")
    assert_one_line(invoke("report", tmp_path), 2, f"there is no record of a run in {tmp_path}; ")
    (tmp_path / "begun.checkpoint.safetensors").touch()
    (tmp_path / "half.json").write_text("{")
    result = invoke("report", tmp_path)
    assert_one_line(result, 2, "unfinished runs: 1")
    assert "half.json is not a valid record" in result.stderr
    assert not (tmp_path / "report.html").exists()


def test_an_output_that_cannot_be_written_is_found_before_anything_is_drawn(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch_models.commands.report.drawn_row", None)
    for path, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "no" / "such.html", f"there is no folder {tmp_path / 'no'}"),
    ):
        result = invoke("report", folder, "--output", path)
        assert_one_line(result, 1, f"output {path} cannot be written: {reason}")


# --- how to run it again ------------------------------------------------------------------------

TABLE_RUNS = {
    "a budget": find_budget("short", 2, "dnn"),
    "the paper's": find_budget("full", 4, "dnn"),
    "convolutional": find_budget("short", 2, "cnn-1d"),
    "changed": find_budget("short", 5, "dnn", width=77, learning_rate=1.5e-5, epochs=3),
    "other data": find_budget("short", 2, "dnn", data="digits", batch_size=7),
}
TABLES = {"the paper's": (4, Design("st", 0.8)), "changed": (5, CRELU)}


@pytest.mark.parametrize("name", TABLE_RUNS)
def test_the_command_of_a_row_of_a_table_trains_its_runs_again(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table, row = TABLES.get(name, (2, CRELU))
    runs = runs_of(table, TABLE_RUNS[name], [row], range(2))
    assert trained_by(command_of(records_of(runs)), monkeypatch, tmp_path) == runs


@pytest.mark.parametrize("changes", [{}, {"data": "mnist"}, {"width": 20, "learning_rate": 0.1}])
@pytest.mark.parametrize("row", [CST, Design("st", 0.812345678)])
def test_the_command_of_a_single_row_trains_its_runs_again(
    changes: dict[str, Any], row: Design, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = runs_of(None, three_rows_budget(**changes), [row], range(2))
    assert trained_by(command_of(records_of(runs)), monkeypatch, tmp_path) == runs


def test_a_setting_that_no_options_give_has_no_command() -> None:
    (run, *_) = runs_of(2, find_budget("short", 2, "dnn"), [CRELU], range(1))
    fewer = replace(run, budget="custom", experiment=replace(run.experiment, train=17))
    assert command_of(records_of([fewer])) is None


def records_of(runs: list[Run]) -> list[RunRecord]:
    """A record of each."""
    return [replace(run_record(CRELU, 0.9), run=run) for run in runs]


def trained_by(command: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Run]:
    """The runs that a command line is about to train."""
    from torch_models.commands.sweep import Sweeper

    class Reached(Exception):  # noqa: N818 - no error
        """The training would begin."""

    def sweep(_: Sweeper, runs: list[Run]) -> None:
        raise Reached(runs)

    monkeypatch.setattr(Sweeper, "print_experiment", lambda *_: None)
    monkeypatch.setattr(Sweeper, "dataset", lambda *_: SimpleNamespace(train_y=range(1000)))
    monkeypatch.setattr(Sweeper, "sweep", sweep)
    monkeypatch.chdir(tmp_path)
    assert command is not None
    program, *arguments = shlex.split(command)
    assert program == "sparsity-theory"
    result = invoke(*arguments)
    assert isinstance(result.exception, Reached), result.output
    runs: list[Run] = result.exception.args[0]
    return runs


# --- its parts ----------------------------------------------------------------------------------


def test_a_network_ends_as_forecast_by_what_became_of_it() -> None:
    records = [run_record(CRELU, accuracy, seed=seed) for seed, accuracy in enumerate((0.9, 0.2))]
    experiment = records[0].run.experiment
    prediction = predict(CRELU, experiment, 54000)
    for outcome, count in {"trains": 1, "explodes": 0, "learns slowly": 1, "dead": 1}.items():
        assert RowReport.of(replace(prediction, outcome=outcome), records).as_forecast == count


def test_convolutional_rows_are_forecast_by_their_own_law() -> None:
    experiment = find_budget("short", 2, "cnn-1d").experiment
    assert experiment.positions == (64,)
    assert find_budget("full", 2, "cnn").experiment.positions == (32, 32)
    assert find_budget("full", 2, "dnn").experiment.positions is None
    found = predict(CST, experiment, 6400)
    wanted = st.forecast(
        CST.net(), 64, 12, kernel=3, positions=64, training_time=experiment.training_time(6400)
    )
    assert found.failure_probability == wanted.failure_probability
    assert found.learnability is None


def test_images_are_as_large_as_their_side_says() -> None:
    assert load_dataset("digits").image_shape == (1, SIDES["digits"], SIDES["digits"])


def test_settings_are_sorted_by_table_and_rows_by_kind_and_sparsity() -> None:
    records = [
        run_record(row, 0.9, table=table, seed=seed)
        for table in (4, 2)
        for seed in (1, 0)
        for row in (CST, Design("st", 0.7), CRELU)
        if table == 2 or row.kind == "st"
    ]
    first, second = settings_of([*records, of_no_table(records[0])])[1:]
    assert (first.table, second.table) == (2, 4)
    rows = [[(each.run.design.kind, each.run.seed) for each in row] for row in first.rows]
    assert rows == [[(kind, 0), (kind, 1)] for kind in ("st", "crelu", "cst")]


def test_a_checkpoint_beside_a_record_is_of_no_unfinished_run(tmp_path: Path) -> None:
    for name in ("a.checkpoint.safetensors", "a.json", "b.checkpoint.safetensors", ".c.json"):
        (tmp_path / name).touch()
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "d.checkpoint.safetensors").touch()
    assert [path.name for path in unfinished_runs(tmp_path)] == ["b.checkpoint.safetensors"]


def test_a_picture_keeps_its_numbers_and_takes_the_colours_of_the_page() -> None:
    figure = new_figure(2, 2)
    axes = figure.subplots()
    axes.plot([0, 1], [0.123456, 1], color="#222222", label="test 0.123456")
    axes.legend()
    drawn = inline_svg(figure, 'a "label"', "name")
    assert drawn.startswith('<svg role="img" aria-label="a &quot;label&quot;" ')
    assert "test 0.123456" in drawn
    assert "currentColor" in drawn
    assert "#222222" not in drawn
    assert "font-family" not in drawn
    assert re.findall(r' d="[^"]*\.\d\d', drawn) == []
