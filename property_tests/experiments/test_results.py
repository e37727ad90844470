"""Records read back, summed up and shown: the commands ``table`` and ``figure``."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from property_tests.support.runs import run_record, write_run
from sparsity_theory.published.rows import Design, expected_sparsity
from sparsity_theory.published.tables import published_rows
from torch_models.data import LOADERS
from torch_models.records.files import read_record, to_plain, write_record
from torch_models.records.results import find_records, largest_of_each_row, summarize
from torch_models.records.run_record import RunRecord, read_run_record
from torch_models.records.runs import DATA_SETS, Experiment, find_budget

ROOT = Path(__file__).parents[2]
CRELU = Design("crelu", 0.85, 0.7)
ST = Design("st", 0.5)

KEYS = {
    "activation", "sparsity", "slope", "network", "budget", "runs", "diverged", "accuracy_mean",
    "accuracy_std", "test_sparsity_mean", "test_sparsity_std", "paper",
}  # fmt: skip
FIGURES = {"accuracy_mean", "accuracy_std", "test_sparsity_mean", "test_sparsity_std"}


def invoke(*arguments: object) -> Any:
    """Run the command line in this process."""
    from typer.testing import CliRunner

    from torch_models.commands.app import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows_as_json(*arguments: object) -> list[dict[str, Any]]:
    """The rows that ``table --format json`` prints."""
    result = invoke("table", *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """Five runs of two rows of Table 2: three that train, and two that do not."""
    for seed, accuracy in enumerate((0.9, 0.92, 0.97)):
        write_run(tmp_path, CRELU, accuracy, seed=seed)
    write_run(tmp_path, ST, 0.1, sparsity=0.05, seed=0, divergence="gradient above 1e6")
    write_run(tmp_path, ST, 0.2, sparsity=0.15, seed=1, divergence="sparsity halved")
    return tmp_path


# --- reading ------------------------------------------------------------------------------------


def test_what_is_no_record_of_a_run_is_named_and_does_no_harm(some: Path) -> None:
    good = run_record(CRELU, 0.9, seed=7).to_json()
    bad: dict[str, tuple[Any, str]] = {
        "half.json": ('{"format": 2, "table', "not a valid record"),
        "list.json": ("[1, 2]", "holds no JSON object"),
        "binary.json": (b"\xff\xfe\x00", "not a valid record"),
        "other.json": ({"answer": 42}, "not the record of a run"),
        "story.json": ({"format": 1, "row": {}}, "its format is 1"),
        "newer.json": ({**good, "format": 4}, "its format is 4"),
        "torn.json": ({k: v for k, v in good.items() if k != "test"}, "'test'"),
        "wild.json": ({**good, "test": {**good["test"], "accuracy": None}}, "got nan"),
        "big.json": ({**good, "test": {**good["test"], "accuracy": 91.0}}, "got 91.0"),
        "row.json": ({**good, "row": {"kind": "st", "sparsity": 0.55, "slope": None}}, "st-0.55"),
        "data.json": ({**good, "experiment": {**good["experiment"], "data": "fruit"}}, "'fruit'"),
        "lists.json": ({**good, "seed": [1]}, "unhashable"),
        "budget.json": ({**good, "budget": "long"}, "got 'long'"),
        "named.json": ({**good, "name": "foo"}, "got 'foo'"),
        "edited.json": (
            {**good, "experiment": {**good["experiment"], "width": 21}},
            "name must be that",
        ),
        "true.json": ({**good, "seed": True}, "seed must be an integer, got True"),
        "many.json": ({**good, "data": {**good["data"], "train": "many"}}, "must be whole"),
        "layers.json": (
            {**good, "test": {**good["test"], "layer_sparsity": [0.5]}},
            "of 40 layers",
        ),
        "origin.json": ({**good, "provenance": None}, "provenance must be an object, got None"),
        "deep.json": ("[" * 100_000, "not a valid record"),
    }
    (some / "deeper").mkdir()
    for name, (content, _) in bad.items():
        path = some / "deeper" / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    found = find_records([some])
    assert len(found.records) == 5
    assert len(found.left_out) == len(bad)
    for name, (_, reason) in bad.items():
        (named,) = [line for line in found.left_out if name in line]
        assert reason in named
    result = invoke("table", 2, "--records", some)
    assert result.exit_code == 0
    told = list(filter(None, result.stderr.splitlines()))  # threads of other tests may end a line
    assert [line[:10] for line in told] == ["left out: "] * len(bad)
    assert "left out" not in result.stdout


def test_a_run_counts_once_wherever_its_record_lies(some: Path) -> None:
    (some / "copy").mkdir()
    first = sorted(some.glob("*.json"))[0]
    (some / "copy" / "again.json").write_text(first.read_text())
    found = find_records([some, some])
    assert len(found.records) == 5
    assert len(set(found.left_out)) == 1
    assert "repeats the run of" in found.left_out[0]


def test_records_are_read_without_torch_and_matplotlib() -> None:
    script = (
        "import sys, torch_models.commands.table, torch_models.commands.figure;"
        "print({'torch', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "set()\n"


def test_the_data_sets_of_records_are_those_that_can_be_loaded() -> None:
    assert tuple(LOADERS) == DATA_SETS


# --- summing up ---------------------------------------------------------------------------------


def test_every_row_is_there_in_the_papers_order_with_ours_and_theirs(some: Path) -> None:
    rows = rows_as_json(2, "--records", some)
    published = published_rows(2)
    assert [(r["activation"], r["sparsity"], r["slope"]) for r in rows] == [
        (p.design.kind, p.design.sparsity, p.design.slope) for p in published
    ]
    for row, each in zip(rows, published, strict=True):
        assert set(row) >= KEYS
        assert row["paper"] == {
            "accuracy_mean": each.dnn.accuracy_mean,
            "accuracy_std": each.dnn.accuracy_std,
            "test_sparsity_mean": each.dnn.sparsity_mean,
            "test_sparsity_std": each.dnn.sparsity_std,
        }
        if not row["runs"]:
            assert {row[name] for name in FIGURES} == {None}
    (ours,) = [row for row in rows if row["runs"] == 3]
    assert ours["accuracy_mean"] == pytest.approx(0.93)
    assert ours["accuracy_std"] == pytest.approx(statistics.stdev([0.9, 0.92, 0.97]))
    assert (ours["test_sparsity_mean"], ours["test_sparsity_std"]) == (0.85, 0)
    assert (ours["network"], ours["budget"], ours["diverged"]) == ("dnn", "short", 0)


def test_every_way_to_end_is_counted_and_divergences_by_kind(some: Path) -> None:
    write_run(some, ST, 0.9, sparsity=0.1, seed=2)
    write_run(some, ST, 0.3, seed=3)
    write_run(some, ST, 0.9, seed=4)
    (row,) = [row for row in rows_as_json(2, "--records", some) if row["activation"] == "st"][:1]
    assert row["outcomes"] == {"trained": 1, "not learned": 1, "sparsity lost": 2, "diverged": 1}
    assert row["divergences"] == {"gradient above 1e6": 1, "sparsity halved": 1}
    assert (row["runs"], row["diverged"]) == (5, 2)
    text = invoke("table", 2, "--records", some).stdout
    assert "1 gradient above 1e6, 2 sparsity lost, 1 not learned" in text


def test_a_single_run_has_no_deviation(tmp_path: Path) -> None:
    write_run(tmp_path, CRELU, 0.9)
    (row,) = [row for row in rows_as_json(2, "--records", tmp_path) if row["runs"]]
    assert row["accuracy_mean"] == 0.9
    assert row["accuracy_std"] is None
    assert row["test_sparsity_std"] is None


def test_the_papers_deviations_divide_by_one_less_than_the_number_of_runs() -> None:
    """Of ReLU s = .6 one network of five failed, by its mean: dividing by n could not give .37."""
    (printed,) = [row.dnn for row in published_rows(2) if row.design == Design("relu", 0.6)]
    runs = [0.925] * 4 + [0.10]
    assert statistics.fmean(runs) == pytest.approx(printed.accuracy_mean, abs=0.005)
    assert statistics.stdev(runs) == pytest.approx(printed.accuracy_std, abs=0.005)
    assert statistics.pstdev([0.95] * 4 + [0.10]) < 0.345


@pytest.mark.parametrize(
    "other",
    [
        {"budget": "full"},
        {"budget": "custom", "epochs": 1},
        {"epochs": 11},
        {"source": "IDX files that are not the published MNIST", "order": 1},
    ],
)
def test_runs_that_differ_in_more_than_their_seed_are_never_merged(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    write_run(tmp_path, CRELU, 0.9)
    write_run(tmp_path, CRELU, 0.1, seed=1, **other)
    summaries = summarize(find_records([tmp_path]).records, 2)
    assert [sum(len(row.records) for row in each.rows) for each in summaries] == [1, 1]
    text = invoke("table", 2, "--records", tmp_path).stdout
    assert text.count("Ours: ") == 2
    assert "0.500" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": 0}, "train must be at least 1, got 0"),
        ({"test": -5}, "test must be at least 1, got -5"),
        ({"coarsen": 0}, "coarsen must be at least 1, got 0"),
        ({"coarsen": 29}, "coarsen must be at most 28, the side of mnist's images, got 29"),
        ({"epochs": 1.5}, r"epochs must be a whole number, got 1\.5"),
        ({"batch_size": "64"}, "batch size must be a whole number, got '64'"),
        ({"width": None}, "width must be a whole number, got None"),
    ],
)
def test_an_experiment_that_there_cannot_be_is_refused_by_name(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Experiment(**{**find_budget("short", 2, "dnn").experiment.to_json(), **change})


def test_two_custom_runs_are_merged_if_they_are_of_one_experiment(tmp_path: Path) -> None:
    for seed, epochs in ((0, 1), (1, 1), (0, 2)):
        write_run(tmp_path, CRELU, 0.9, seed=seed, budget="custom", epochs=epochs)
    summaries = summarize(find_records([tmp_path]).records, 2)
    assert [sum(len(row.records) for row in each.rows) for each in summaries] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 3}, "short for 3 epochs"),
        ({"epochs": 25}, "short for 25 epochs"),
        ({"width": 300, "depth": 100, "batch_size": 25, "learning_rate": 1e-4, "epochs": 9},
         "paper-size for 9 epochs"),
        ({"epochs": 3, "batch_size": 32}, "custom"),
        ({"epochs": 3, "momentum": 0.5}, "custom"),
    ],
)  # fmt: skip
def test_a_custom_budget_that_is_another_for_more_or_fewer_epochs_is_called_that(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    write_run(tmp_path, CRELU, 0.9, budget="custom", **changes)
    text, markdown = (
        invoke("table", 2, "--records", tmp_path, "--format", style).stdout
        for style in ("text", "markdown")
    )
    assert f"Table 2, dnn: budget {said}, which is not the paper's" in text
    assert f"| {CRELU.label} | {said} | 1 |" in markdown
    assert {row["budget"] for row in rows_as_json(2, "--records", tmp_path)} == {"custom"}


def test_the_largest_networks_come_first_and_of_these_the_longest_trained(tmp_path: Path) -> None:
    """Whatever their budget is called, since a row is judged by the first that it has."""
    sizes = [("short", 100, 40, 10), ("full", 300, 100, 200), ("custom", 300, 100, 137)]
    for budget, width, depth, epochs in [*sizes, ("paper-size", 300, 100, 50)]:
        write_run(tmp_path, CRELU, 0.9, budget=budget, width=width, depth=depth, epochs=epochs)
    summaries = summarize(find_records([tmp_path]).records, 2)
    assert [each.budget for each in summaries] == ["full", "custom", "paper-size", "short"]
    ((largest, row),) = largest_of_each_row(summaries)
    assert (largest.budget, row.published.design) == ("full", CRELU)


def test_other_images_of_the_same_size_are_another_setting(tmp_path: Path) -> None:
    write_run(tmp_path, CRELU, 0.9)
    content = run_record(CRELU, 0.5, seed=1).to_json()
    content["data"]["checksums"] = {"train-images": "md5:3", "test-images": "md5:2"}
    write_record(tmp_path / "other.json", content)
    assert len(summarize(find_records([tmp_path]).records, 2)) == 2
    content["data"]["checksums"] = {"train-images": "md5:1", "test-images": "md5:2",
                                    "train-images.gz": "md5:9"}  # fmt: skip
    write_record(tmp_path / "other.json", content)
    assert len(summarize(find_records([tmp_path]).records, 2)) == 1


# --- showing ------------------------------------------------------------------------------------


def test_a_short_run_is_never_presented_as_the_papers(some: Path) -> None:
    for name in ("text", "markdown"):
        text = invoke("table", 2, "--records", some, "--format", name).stdout
        assert "budget short, which is not the paper's" in text
        assert "width 100, depth 40, 10 epochs, learning rate 0.002, batch size 64, mnist" in text
        assert "The paper's: width 300, depth 100, 200 epochs, learning rate 0.0001" in text
        assert "not those of the published data set" not in text
        assert "0.930 ± 0.036" in text
        assert "0.94 ± 0.004" in text


def test_images_that_are_not_the_published_ones_are_said_to_be_others(tmp_path: Path) -> None:
    write_run(tmp_path, CRELU, 0.9, source="CIFAR-10 files, 5 of 6 as published")
    text = invoke("table", 2, "--records", tmp_path).stdout
    assert "not those of the published data set" in text


def test_markdown_and_csv_hold_what_json_holds(some: Path) -> None:
    markdown = invoke("table", 2, "--records", some, "--format", "markdown").stdout
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(published_rows(2))
    assert len({line.count("|") for line in lines}) == 1
    rows = rows_as_json(2, "--records", some)
    table = list(
        csv.DictReader(io.StringIO(invoke("table", 2, "--records", some, "--format", "csv").stdout))
    )
    assert len(table) == len(rows)
    for flat, row in zip(table, rows, strict=True):
        for name in FIGURES:
            assert flat[name] == ("" if row[name] is None else str(row[name]))
            assert float(flat[f"paper_{name}"]) == row["paper"][name]


def test_convolutional_rows_have_one_run_in_the_paper_and_only_table_2_has_them(
    tmp_path: Path,
) -> None:
    rows = rows_as_json(2, "--network", "cnn", "--records", tmp_path)
    assert {row["network"] for row in rows} == {"cnn"}
    assert {row["paper"]["accuracy_std"] for row in rows} == {None}
    assert rows[0]["paper"]["accuracy_mean"] == 0.70
    result = invoke("table", 4, "--network", "cnn", "--records", tmp_path)
    assert (result.exit_code, "no rows in Table 4" in result.stderr) == (2, True)


def test_a_file_is_written_where_one_is_asked_for(some: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    result = invoke("table", 2, "--records", some, "--format", "markdown", "--output", path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert path.read_text().startswith("**Table 2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table", 3), "table must be one of 2, 4, 5, got 3"),
        (("table", 2, "--network", "rnn"), "network must be one of dnn, cnn, cnn-1d, got 'rnn'"),
        (
            ("table", 2, "--budget", "long"),
            "budget must be one of full, paper-size, larger-steps, short, smoke, custom",
        ),
        (("table", 2, "--format", "xml"), "format must be one of text, markdown, csv, json"),
        (("table", 2, "--records", "nowhere"), "got 'nowhere'"),
        (("table", 2, "--output", "nowhere/at/all"), "nowhere/at/all cannot be written"),
        (("figure", 15), "figure must be 1 to 14 or all, got '15'"),
        (("figure", 5, "--output", "a.jpg"), "output must end in one of .svg, .pdf, .png, got"),
        (("figure", 5, "--format", "jpg"), "format must be one of svg, pdf, png, got 'jpg'"),
        (("figure", 5, "--format", "svg", "--output", "a.png"), "format goes with all"),
    ],
)
def test_a_mistake_is_one_clear_line(
    arguments: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    if "--records" not in arguments:
        arguments = (*arguments, "--records", tmp_path)
    result = invoke(*arguments)
    assert result.exit_code in (1, 2)
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


# --- records as they are really written ---------------------------------------------------------


def test_records_of_a_real_sweep_are_read_and_summed_up(tmp_path: Path) -> None:
    small = ("--width", 10, "--depth", 3, "--epochs", 1, "--seeds", 2, "--threads", 1)
    result = invoke("train-table", 2, "--row", "crelu-0.6-0.5", *small, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    (row,) = [row for row in rows_as_json(2, "--records", tmp_path) if row["runs"]]
    assert (row["activation"], row["sparsity"], row["slope"]) == ("crelu", 0.6, 0.5)
    assert (row["runs"], row["budget"]) == (2, "custom")
    assert 0 <= row["accuracy_mean"] <= 1
    assert row["experiment"]["width"] == 10


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """But for digits beyond the fifth; infinities and NaN included."""
    record = run_record(CRELU, 0.9, norms=((1.0, math.inf, -math.inf),), losses=(2.0, 1.25))
    content = json.loads(json.dumps(to_plain(record.to_json())))
    assert RunRecord.from_json(content) == record
    nan = RunRecord.from_json({**content, "gradient_norms": [[None, 1.0]]})
    assert math.isnan(nan.gradient_norms[0][0])


def test_every_committed_record_is_read_and_written_alike() -> None:
    """Those of format 2 gain what it had not; a halved sparsity has another name now."""
    paths = sorted((ROOT / "results" / "records").rglob("*.json"))
    assert len(paths) > 200
    for path in paths:
        content, record = read_record(path), read_run_record(path)
        again = to_plain(record.to_json())
        assert again["name"] == content["name"] == path.stem
        for key in set(content) - {"format", "divergence", "initialization", "name"}:
            assert again[key] == content[key], (path.name, key)


def test_clipped_rows_are_expected_at_their_sparsity_and_unclipped_ones_above_it() -> None:
    """Those start at three quarters of q*, and go up to it (App. C)."""
    assert expected_sparsity(CRELU, 40) == pytest.approx(0.85)
    assert 0.7 < expected_sparsity(Design("relu", 0.7), 40) < 0.74
