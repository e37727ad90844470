"""Convolutional networks of the paper's size at initialization, beside what the paper trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from property_tests.support.chance import implausible
from sparsity_theory.published.ranking import area_under_curve
from sparsity_theory.published.tables import published_rows
from torch_models.measurements.convolutional import measure
from torch_models.measurements.gradient_growth import LARGEST_GROWTH
from torch_models.records.files import read_record

RECORDS = Path(__file__).parents[1] / "records"


def growths(record: dict[str, Any]) -> list[float]:
    """For every row, log10 of the mean over networks of the largest growth of squared gradients."""
    found = []
    for published in published_rows(2):
        layers = np.array(record["rows"][published.design.slug]["growth"], dtype=np.float64)
        largest = np.nan_to_num(layers, nan=LARGEST_GROWTH).max(axis=1)
        found.append(float(np.log10(np.minimum(largest, LARGEST_GROWTH).mean())))
    return found


def check_growth(record: dict[str, Any], separation: float) -> None:
    """Spearman's rank correlation with V''(q*) over 33 rows, and the AUC of the six that failed.

    Without any link the correlation would be as large with a probability below what chance allows.
    The sparsity s is the wrong theory.
    """
    rows = published_rows(2)
    found = growths(record)
    curvature = [float(row.design.net().variance_curvature(1.0)) for row in rows]
    sparsity = [row.design.sparsity for row in rows]
    assert implausible(stats.spearmanr(curvature, found, alternative="greater").pvalue)
    assert not implausible(stats.spearmanr(sparsity, found).pvalue)
    failed = [row.failed_as("cnn") for row in rows]
    assert sum(failed) == 6
    assert area_under_curve(found, failed) > separation
    assert area_under_curve(sparsity, failed) < 0.75


@pytest.mark.claim("Networks: convolutional rows")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_convolutional_rows_that_failed_are_those_whose_gradients_were_seen_to_grow(
    device: str, record_property: Callable[[str, object], None]
) -> None:
    """As recorded by tools/measure.py convolutional: 300 channels, depth 50, 32 x 32 pixels."""
    path = RECORDS / f"convolutional_{device}.json"
    if not path.exists():
        pytest.skip(f"no record: python tools/measure.py convolutional --device {device}")
    record = read_record(path)
    assert (record["channels"], record["depth"], record["side"]) == (300, 50, 32)
    check_growth(record, 0.98)
    record_property("note", f"{record['networks']} networks of each of 33 rows, {record['device']}")


@pytest.mark.slow
@pytest.mark.claim("Networks: convolutional rows")
def test_in_smaller_convolutional_networks_the_same_rows_grow() -> None:
    """A tenth of the channels, on 4 x 4 pixels, ten networks of each row."""
    check_growth(measure(30, 25, 4, 10), 0.9)
