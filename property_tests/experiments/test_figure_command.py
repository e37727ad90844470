"""The command ``figure``, and pictures that other commands draw: files, formats, records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from property_tests.support.runs import run_record, write_run
from sparsity_theory.published.rows import Design
from torch_models.records.results import find_records
from torch_models.reports.canvas import FORMATS, stamp_of
from torch_models.reports.drawing import save_picture, save_small
from torch_models.reports.panels import Axis, Curve, Panel, Picture, in_one_row
from torch_models.reports.paper_figures.catalogue import FROM_RECORDS, NUMBERS, picture_of
from torch_models.reports.paper_figures.gradient_norms import FAILED_ROWS
from torch_models.reports.paper_figures.losses import AT_FULL_SIZE, QUICK_ROWS, SLOW_ROWS
from torch_models.reports.paper_figures.recorded import MissingRecords, dense_summaries

HEADS = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
BLOWN_UP = ((1.0, 2.0, 3.0), (1e9, 0.0, float("inf")), (float("nan"), 1e30, 2.0))
CRELU, CST = FAILED_ROWS


def invoke(*arguments: object) -> Any:
    """Run the command line in this process."""
    from typer.testing import CliRunner

    from torch_models.commands.app import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def drawn_from(number: int, folder: Path) -> Picture:
    """What a figure shows of the records in a folder."""
    return picture_of(number, dense_summaries(find_records([folder]).records))


@pytest.fixture
def drawable(tmp_path: Path) -> Path:
    """Runs of all rows that figures need."""
    folder = tmp_path / "records"
    for row in FAILED_ROWS:
        write_run(folder, row, 0.1, norms=BLOWN_UP, divergence="gradient above 1e6", losses=())
    for row in (*SLOW_ROWS, *QUICK_ROWS):
        for seed in range(3):
            write_run(folder, row, 0.4, seed=seed)
    return folder


# --- the command --------------------------------------------------------------------------------


def test_all_figures_are_drawn_into_a_folder(drawable: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drawn" / "here"
    result = invoke("figure", "all", "--records", drawable, "--output", folder)
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {f"figure-{n}.svg" for n in range(1, 15)}
    assert all(path.read_bytes().startswith(HEADS["svg"]) for path in folder.iterdir())
    assert tuple(range(1, 15)) == NUMBERS


@pytest.mark.parametrize("chosen", FORMATS)
def test_a_figure_is_written_as_its_suffix_says(chosen: str, tmp_path: Path) -> None:
    path = tmp_path / f"one.{chosen}"
    result = invoke("figure", 1, "--output", path)
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(HEADS[chosen])


@pytest.mark.parametrize(
    ("number", "command"),
    [
        (5, "train-table 2 --row crelu-0.85-0.9 --row cst-0.85-0.9 --budget short"),
        (14, "train-table 2 --row crelu-0.85-0.5 --row cst-0.85-0.5 --budget short"),
    ],
)
def test_a_figure_without_its_records_says_how_to_make_them(
    number: int, command: str, tmp_path: Path
) -> None:
    write_run(tmp_path, Design("crelu", 0.85, 0.7), 0.9)
    result = invoke("figure", number, "--records", tmp_path, "--output", tmp_path / "figure.png")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert command in result.stderr
    assert not (tmp_path / "figure.png").exists()


def test_figures_of_the_theory_are_drawn_though_those_of_records_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch_models.commands import figure

    monkeypatch.setattr(figure, "NUMBERS", (1, *FROM_RECORDS))
    monkeypatch.chdir(tmp_path)
    result = invoke("figure", "all", "--format", "png")
    assert result.exit_code == 1
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["figure-1.png"]
    assert "Fig. 5 needs" in result.stderr
    assert "Fig. 14 needs" in result.stderr


# --- Fig. 5 -------------------------------------------------------------------------------------


def test_a_figure_of_failed_runs_is_not_drawn_from_runs_that_trained(tmp_path: Path) -> None:
    for row in FAILED_ROWS:
        write_run(tmp_path, row, 0.9)
    with pytest.raises(MissingRecords, match=r"a failed run of CReLU s=0\.85 V'=0\.9 and CST s="):
        drawn_from(5, tmp_path)


def test_gradient_norms_are_drawn_as_recorded_but_for_what_has_no_logarithm(
    drawable: Path,
) -> None:
    first, second = drawn_from(5, drawable).panels
    for panel, row in ((first, CRELU), (second, CST)):
        assert row.label in panel.title
        assert "width 100, depth 40: smaller than the paper's" in panel.title
        assert [curve.label for curve in panel.curves] == ["step 1", "step 2", "step 3"]
        drawn = np.array([curve.y for curve in panel.curves])
        recorded = np.array(BLOWN_UP)
        gone = ~(np.isfinite(recorded) & (recorded > 0))
        assert np.array_equal(drawn, np.where(gone, np.nan, recorded), equal_nan=True)


def test_records_of_the_papers_size_go_before_smaller_ones(drawable: Path) -> None:
    norms = ((1.0, 2.0, 3.0),)
    exploded = {"norms": norms, "divergence": "gradient above 1e6", "losses": ()}
    write_run(drawable, CST, 0.1, budget="full", **exploded)
    small, large = drawn_from(5, drawable).panels
    assert "smaller than the paper's" in small.title
    assert "width 300, depth 100: the paper's size" in large.title
    assert len(large.curves) == 1


def test_the_slowest_explosion_at_the_papers_size_has_a_panel_of_its_own(drawable: Path) -> None:
    relu = Design("relu", 0.7)
    options = {"divergence": "gradient above 1e6", "losses": ()}
    write_run(drawable, relu, 0.1, budget="full", norms=BLOWN_UP, **options)
    *_, third = drawn_from(5, drawable).panels
    assert third.title.startswith("(c) ReLU s=0.7, seed 0\ngradient above 1e6 at step 2")


# --- Fig. 14 ------------------------------------------------------------------------------------


def test_every_run_of_the_slow_rows_is_drawn_with_its_accuracy(drawable: Path) -> None:
    panels = drawn_from(14, drawable).panels
    assert len(panels) == len(SLOW_ROWS)
    for panel, slow, quick in zip(panels, SLOW_ROWS, QUICK_ROWS, strict=True):
        assert panel.title.startswith(("(a)", "(b)"))
        assert slow.label in panel.title
        labels = [curve.label for curve in panel.curves]
        assert labels[:3] == [f"{quick.label}, for comparison", "", ""]
        assert labels[3:] == [f"seed {seed}: test accuracy 0.40" for seed in range(3)]
        assert all(list(curve.y) == [2.0, 1.0, 0.5] for curve in panel.curves)


def test_a_spike_late_in_a_training_at_the_papers_size_is_drawn_in_full(drawable: Path) -> None:
    losses = np.linspace(2.3, 0.2, 200)
    losses[[149, 180]] = 4.0, 2.5
    write_run(drawable, AT_FULL_SIZE, 0.93, budget="full", losses=tuple(map(float, losses)))
    *_, last = drawn_from(14, drawable).panels
    assert "width 300, depth 100: the paper's size" in last.title
    (curve,) = last.curves
    assert curve.y[149] == 4.0
    assert np.allclose(curve.y, losses, rtol=1e-4, atol=0)  # a record has five digits
    assert list(curve.x) == list(range(1, 201))
    assert curve.label == "seed 0: test accuracy 0.93"


def test_runs_at_the_papers_size_that_diverge_at_once_have_no_loss_to_draw(drawable: Path) -> None:
    """The smaller ones that ran are drawn in their place."""
    options = {"divergence": "gradient above 1e6", "losses": ()}
    write_run(drawable, SLOW_ROWS[0], 0.1, budget="full", **options)
    first, *_ = drawn_from(14, drawable).panels
    assert "smaller than the paper's" in first.title


def test_networks_of_thirty_layers_are_not_drawn_for_those_of_a_hundred(drawable: Path) -> None:
    """The same rows stand in Table 5, whose networks are no slower than others."""
    write_run(drawable, SLOW_ROWS[0], 0.9, table=5, budget="larger-steps")
    first, *_ = drawn_from(14, drawable).panels
    assert "smaller than the paper's" in first.title


# --- files and stamps ---------------------------------------------------------------------------


def plain(height: float = 1.0) -> Picture:
    panel = Panel("a", Axis("x"), Axis("y"), (Curve.of([0.0, 1.0], [0.0, height], "line"),))
    return Picture("picture", in_one_row([panel]), note="a note", shared_legend=True)


@pytest.mark.parametrize("chosen", FORMATS)
def test_a_picture_tells_what_it_was_drawn_from(chosen: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{chosen}"
    save_picture(plain(), path)
    if chosen != "pdf":  # whose text is compressed
        assert stamp_of(path) == plain().stamp
    first = path.read_bytes()
    save_picture(plain(), path)
    assert path.read_bytes() == first


def test_a_stamp_changes_with_the_numbers_and_not_with_their_rounding(tmp_path: Path) -> None:
    assert plain(1.0).stamp == plain(1.0 + 1e-12).stamp != plain(1.01).stamp
    save_small(plain(), tmp_path / "small.png")
    assert stamp_of(tmp_path / "small.png") == plain().stamp
    assert stamp_of(tmp_path / "none.png") == ""


# --- pictures of other commands -----------------------------------------------------------------


def test_a_forecast_is_drawn(tmp_path: Path) -> None:
    row = ("--activation", "cst", "--slope", "0.9", "--depth", "20", "--networks", "50")
    for name, words in (("row.svg", row), ("table.png", ("--table", "4", "--networks", "20"))):
        result = invoke("forecast", *words, "--plot", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert (tmp_path / name).stat().st_size > 10_000


def test_a_table_is_drawn_with_every_run_and_the_papers_means(
    drawable: Path, tmp_path: Path
) -> None:
    from torch_models.records.results import summarize
    from torch_models.reports.table_figure import OURS, PAPER, table_picture

    picture = table_picture(summarize(find_records([drawable]).records, 2))
    accuracy, sparsity = picture.panels
    assert accuracy.y.names[0] == "CReLU s=0.6 V'=0.5"
    assert sorted(accuracy.point(OURS).x) == [0.1] * 2 + [0.4] * 12
    assert len(accuracy.point(PAPER).x) == len(accuracy.y.names) == 6
    assert list(sparsity.point(PAPER).x) == [0.6, 0.85, 0.79, 0.6, 0.85, 0.11]
    done = invoke("table", 2, "--records", drawable, "--plot", tmp_path / "table.pdf")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "table.pdf").read_bytes().startswith(HEADS["pdf"])


def test_a_table_without_records_cannot_be_drawn(tmp_path: Path) -> None:
    done = invoke("table", 2, "--records", tmp_path, "--plot", tmp_path / "table.png")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: plot needs records, and there are none")


def test_a_run_that_never_took_place_is_ranked_by_its_size() -> None:
    """The paper's size first; then the larger networks, of whatever table."""
    sizes = [("short", 2), ("full", 5), ("short", 5), ("full", 2)]
    records = [run_record(Design("crelu", 0.85, 0.7), 0.9, budget=b, table=t) for b, t in sizes]
    groups = [each.group for each in dense_summaries(records)]
    assert [(g.budget, g.experiment.depth) for g in groups if g is not None] == [
        ("full", 100), ("full", 30), ("short", 40), ("short", 20),
    ]  # fmt: skip
