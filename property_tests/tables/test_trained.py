"""The paper's trained networks, judged by the records of our own runs in ``results/records``.

They are at the short budget (see ``torch_models/records/budgets.toml``): narrower, shallower and
far shorter than the paper's. What is judged is which rows train and which fail, and whether
sparsity is kept, not the accuracies of the full budget. `sparsity-theory table 2 --records
results/records` prints what is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from property_tests.support.runs import write_run
from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import published_rows
from torch_models.records.outcomes import LEARNED
from torch_models.records.results import RowSummary, TableSummary, find_records, summarize
from torch_models.records.run_record import RunRecord
from torch_models.training.loop import RECORDED_STEPS

RECORDS = Path(__file__).parents[2] / "results" / "records"
BUDGET = "short"

Note = Callable[[str, object], None]
Rows = Mapping[str, RowSummary]

OTHERWISE: dict[int, dict[str, str]] = {
    2: {
        "crelu-0.85-0.5": "slower",
        "cst-0.8-0.5": "slower",
        "cst-0.85-0.5": "slower",
        "cst-0.85-0.7": "slower, less sparse",
    },
    4: {},
    5: {
        "cst-0.8-0.9": "sparsity lost",
        "cst-0.9-0.5": "slower",
        "cst-0.9-0.7": "sparsity lost",
    },
}
"""Rows that the paper trains and that have not learned after the few epochs here, by table.

They are the sparsest ones. With a small clip the paper's own are slow too (App. G). In the paper
CST s = .8 V' = .9 lost its sparsity as well (Table 5: .49 is left) and trained nonetheless; the
other two that lose some here, CST with V' = .7, kept it there, in networks three times as wide."""

OTHERWISE_CONVOLUTIONAL = {
    "relu-0.5": "becomes sparser",
    "relu-0.7": "stays sparse",
    "crelu-0.7-0.7": "not learned by one of two",
}
"""Rows of Table 2 that end otherwise in convolutional networks of 12 layers and 64 channels, in a
run or two each. What fails in 50 layers need not in 12: V'' of ReLU at s = .7 is 0.30, of ST 0.81.
"""

KEPT = {2: 0.02, 5: 0.05}
"""Distance of the mean test sparsity from s, by table. Steps are twice as large in Table 5, and CST
drifts by some hundredths in its first epoch."""

HIGH_ACCURACY = 0.85
CHANCE = 0.15
"""Above the accuracy of a constant guess by more than seven standard deviations: 0.1135 on MNIST's
test set, 0.1 on 2000 images of CIFAR-10."""

GROWN = 12.0
"""Growth of gradient norms from the last hidden layer back to the second that counts as growth.
At the first step the largest in rows that train is 7.7, and that of the failed run 21."""


@cache
def table_of(number: int, network: str = "dnn") -> TableSummary | None:
    """What the committed records say of a table, None if there are none at the budget."""
    if not RECORDS.is_dir():
        return None
    found = find_records([RECORDS])
    assert not found.left_out, found.left_out
    (summary,) = summarize(found.records, number, network, BUDGET)
    return summary if summary.group else None


def rows_of(number: int, *slugs: str, network: str = "dnn") -> Rows:
    """These rows of a table, or all; the test is skipped if one has no record."""
    summary = table_of(number, network)
    if summary is None:
        pytest.skip(
            f"no {network} records of Table {number} at the {BUDGET} budget in {RECORDS.name}"
        )
    rows = {row.published.design.slug: row for row in summary.rows}
    chosen = {slug: rows[slug] for slug in slugs or rows}
    missing = [slug for slug, row in chosen.items() if not row.records]
    if missing:
        pytest.skip(f"Table {number} has no records of {', '.join(missing)}")
    return chosen


def count(rows: Iterable[RowSummary]) -> str:
    """On what a verdict rests: ``99 runs of 33 rows, short budget``."""
    rows = list(rows)
    runs = sum(len(row.records) for row in rows)
    return f"{runs} runs of {len(rows)} {'row' if len(rows) == 1 else 'rows'}, {BUDGET} budget"


def accuracy(row: RowSummary) -> float:
    """Mean test accuracy over our runs."""
    assert row.ours is not None
    return row.ours.accuracy_mean


def drift(row: RowSummary) -> float:
    """How far the mean test sparsity over our runs is from s."""
    assert row.ours is not None
    return abs(row.ours.sparsity_mean - row.published.design.sparsity)


# --- the tables ---------------------------------------------------------------------------------


def on_the_other_side(rows: Rows) -> set[str]:
    """Rows that train here and failed in the paper, or the other way round."""
    return {slug for slug, row in rows.items() if (accuracy(row) < LEARNED) != row.published.failed}


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=pytest.mark.claim(f"Table {number} DNN"), id=f"table-{number}")
        for number in (2, 4, 5)
    ],
)
def test_rows_that_trained_train_and_rows_that_failed_fail_but_for_those_listed(
    number: int, record_property: Note
) -> None:
    rows = rows_of(number)
    listed = OTHERWISE[number]
    assert on_the_other_side(rows) == set(listed)
    for slug, how in listed.items():
        assert not rows[slug].outcomes["diverged"], slug
        assert how != "slower" or is_slow_but_stable(rows[slug]), slug
        assert how != "sparsity lost" or rows[slug].outcomes[how] == len(rows[slug].records), slug
    exceptions = ", ".join(f"{slug} ({how})" for slug, how in listed.items())
    record_property(
        "note", count(rows.values()) + (f"; not as in the paper: {exceptions}" if listed else "")
    )


def is_slow_but_stable(row: RowSummary) -> bool:
    """Whether all runs went to their end, sparse, and at a loss below that of their beginning."""
    return all(
        record.outcome in ("trained", "not learned") and losses(record)[-1] < losses(record)[0]
        for record in row.records
    )


@pytest.mark.claim("Table 2 CNN")
@pytest.mark.parametrize("network", ["cnn", "cnn-1d"])
def test_convolutional_rows_that_trained_train_and_stay_sparse_and_rows_that_failed_do_not(
    network: str, record_property: Note
) -> None:
    """Rows with records only: there must be some of each side, or nothing is judged.

    No row passes half of the images here, so those that fail are told by their sparsity.
    """
    summary = table_of(2, network)
    rows = (
        {row.published.design.slug: row for row in summary.rows if row.records} if summary else {}
    )
    fails = {slug for slug, row in rows.items() if row.paper and row.paper.accuracy_mean < LEARNED}
    if not fails or fails == set(rows):
        pytest.skip(f"no {network} records of rows that train and of rows that fail")
    holding = {
        slug
        for slug, row in rows.items()
        if stays_sparse(row) and all(record.final.accuracy > CHANCE for record in row.records)
    }
    assert set(rows) - (holding ^ fails) == set(OTHERWISE_CONVOLUTIONAL)
    record_property(
        "note",
        f"{network}: {count(rows.values())}; not as in the paper: "
        f"{', '.join(OTHERWISE_CONVOLUTIONAL)}",
    )


def stays_sparse(row: RowSummary) -> bool:
    """Whether no run has diverged or lost its sparsity."""
    return not row.outcomes["diverged"] + row.outcomes["sparsity lost"]


# --- Section 4 ----------------------------------------------------------------------------------


def accurate(rows: Rows) -> list[RowSummary]:
    """Clipped rows with V'(q*) of at most 0.7 that train to a high accuracy."""
    return [
        row
        for row in rows.values()
        if (row.published.design.slope or 1) < 0.8 and accuracy(row) >= HIGH_ACCURACY
    ]


@pytest.mark.claim("Sec. 4 sparsity kept")
def test_where_training_is_stable_the_sparsity_is_that_of_the_initialization(
    record_property: Note,
) -> None:
    rows = {number: accurate(rows_of(number)) for number in KEPT}
    for number, least in {2: 6, 5: 6}.items():
        assert len(rows[number]) >= least, "too few accurate rows for this to say anything"
        assert [r.published.design.slug for r in rows[number] if drift(r) > KEPT[number]] == []
    record_property("note", count([*rows[2], *rows[5]]))


@pytest.mark.claim("Sec. 4 clipping trains")
def test_clipped_networks_train_where_unclipped_ones_of_the_same_sparsity_fail(
    record_property: Note,
) -> None:
    judged = []
    for unclipped_table, clipped_table in ((2, 2), (4, 5)):
        unclipped, clipped = rows_of(unclipped_table), rows_of(clipped_table)
        for slug, row in unclipped.items():
            partner = clipped.get(f"c{slug}-0.7")
            if not row.published.failed or partner is None or row.published.design.sparsity > 0.85:
                continue
            assert row.outcomes["trained"] == 0, slug
            assert min(record.final.accuracy for record in partner.records) >= LEARNED, slug
            assert not partner.divergences, slug
            judged += [row, partner]
    assert len(judged) == 2 * 9
    record_property("note", count(judged))


SLOW = ("crelu-0.85-0.5", "cst-0.85-0.5")
QUICK = ("crelu-0.6-0.5", "cst-0.6-0.5")
"""As strongly clipped as the slow ones, and less sparse."""


@pytest.mark.claim("Sec. 4 second failure")
def test_very_sparse_networks_with_a_small_clip_improve_and_end_at_reduced_accuracy(
    record_property: Note,
) -> None:
    rows = rows_of(2, *SLOW, *QUICK)
    for slow, quick in zip(SLOW, QUICK, strict=True):
        assert is_slow_but_stable(rows[slow]), slow
        assert max(growth(record)[0] for record in rows[slow].records) < GROWN, slow
        assert CHANCE < accuracy(rows[slow]) < accuracy(rows[quick]) - 0.2, slow
    record_property("note", count(rows.values()))


# --- Figs. 5 and 14 -----------------------------------------------------------------------------


def growth(record: RunRecord) -> tuple[float, float]:
    """How much gradients grow on their way back, at the first step and at most in all recorded.

    Norms of the hidden layers but the first, whose inputs are more, over that of the last at the
    first step.
    """
    norms = np.array(record.gradient_norms)
    back = norms[:, 1:-1] / norms[0, -2]
    return float(back[0, 0]), float(back.max())


def losses(record: RunRecord) -> NDArray[np.float64]:
    """Training losses by epoch."""
    return np.array([epoch.loss for epoch in record.epochs])


def failed(row: RowSummary) -> list[RunRecord]:
    """Runs that did not train."""
    return [record for record in row.records if record.outcome != "trained"]


@pytest.mark.claim("Fig. 5a")
def test_gradients_of_a_failed_run_grow_at_the_first_step_and_those_of_no_sound_one_do(
    record_property: Note,
) -> None:
    rows = rows_of(2)
    runs = failed(rows["crelu-0.85-0.9"])
    grown = [record for record in runs if growth(record)[0] > GROWN]
    assert grown
    assert all(len(record.gradient_norms) <= RECORDED_STEPS for record in runs)
    sound = [r for row in rows.values() if not row.published.failed for r in row.records]
    assert max(growth(record)[0] for record in sound) < GROWN
    record_property(
        "note",
        f"{len(grown)} of {len(runs)} failed runs grow so, none of {len(sound)} of rows that train",
    )


@pytest.mark.claim("Fig. 5b")
def test_gradients_of_a_failed_run_of_cst_explode_within_the_first_steps(
    record_property: Note,
) -> None:
    (row,) = rows_of(2, "cst-0.85-0.9").values()
    runs = failed(row)
    exploded = [record for record in runs if growth(record)[1] > 1000]
    assert exploded
    record_property("note", f"{len(exploded)} of {len(runs)} failed runs explode, {BUDGET} budget")


@pytest.mark.claim("Fig. 14")
def test_losses_of_very_sparse_networks_with_a_small_clip_fall_slowly(
    record_property: Note,
) -> None:
    rows = rows_of(2, *SLOW, *QUICK)
    for slow, quick in zip(SLOW, QUICK, strict=True):
        slowest_quick = np.max([losses(record) for record in rows[quick].records], axis=0)
        for record in rows[slow].records:
            assert np.all(losses(record) > slowest_quick), record.run.name
            assert losses(record)[-1] > slowest_quick[len(slowest_quick) // 2], record.run.name
    record_property("note", count(rows.values()))


# --- the judges can say no ----------------------------------------------------------------------


def as_published(folder: Path, number: int, changed: Mapping[str, float]) -> Rows:
    """Records that are as the paper's table, but for the accuracies of some rows."""
    for published in published_rows(number):
        value = changed.get(published.design.slug, published.dnn.accuracy_mean)
        write_run(folder, published.design, value, table=number)
    (summary,) = summarize(find_records([folder]).records, number, "dnn", BUDGET)
    return {row.published.design.slug: row for row in summary.rows}


def test_a_row_that_changes_sides_is_named(tmp_path: Path) -> None:
    assert on_the_other_side(as_published(tmp_path / "as-is", 2, {})) == set()
    changed = {"crelu-0.6-0.7": 0.3, "st-0.5": 0.9}
    assert on_the_other_side(as_published(tmp_path / "changed", 2, changed)) == set(changed)


def test_only_networks_that_run_to_their_end_at_a_falling_loss_count_as_slow(
    tmp_path: Path,
) -> None:
    row = Design("cst", 0.85, 0.5)

    def judged(name: str, **options: object) -> bool:
        write_run(tmp_path / name, row, 0.3, **options)
        (summary,) = summarize(find_records([tmp_path / name]).records, 2, "dnn")
        return is_slow_but_stable(next(each for each in summary.rows if each.records))

    assert judged("slow")
    assert not judged("rising", losses=(2.0, 2.5))
    assert not judged("diverged", divergence="gradient above 1e6")
    assert not judged("dense", sparsity=0.5)
