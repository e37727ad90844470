"""Runs with another batch size or momentum, beside the paper's rows, in the paper's time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from property_tests.support.runs import run_record
from sparsity_theory.published.rows import Design
from torch_models.records.run_record import RunRecord
from torch_models.reports.other_settings import other_settings, reached_at

ROW = Design("crelu", 0.7, 0.7)  # .92 in the paper, in both tables


def learning(accuracies: list[float], **experiment: Any) -> RunRecord:
    """The record of a run of Table 5 that has these accuracies on held-out images."""
    record = run_record(ROW, 0.925, table=5, budget="full", losses=(1.0,) * len(accuracies),
                        epochs=len(accuracies), **experiment)  # fmt: skip
    epochs = [
        replace(epoch, validation_accuracy=accuracy)
        for epoch, accuracy in zip(record.epochs, accuracies, strict=True)
    ]
    return replace(record, epochs=tuple(epochs))


def test_an_accuracy_is_reached_at_the_first_epoch_that_has_it_in_the_paper_s_time() -> None:
    whole = learning([0.1] * 99 + [0.92, 0.5] + [0.93] * 99)
    assert reached_at(whole, 0.92) == pytest.approx(0.5)
    assert reached_at(whole, 0.95) is None


def test_momentum_and_smaller_batches_train_for_longer() -> None:
    """1 / (1 - 0.9) times as long for each step, and four steps for one of 100 images."""
    accuracies = [0.1] * 19 + [0.92]
    assert reached_at(learning(accuracies), 0.92) == pytest.approx(0.1)
    assert reached_at(learning(accuracies, momentum=0.9), 0.92) == pytest.approx(1.0)
    assert reached_at(learning(accuracies, batch_size=25), 0.92) == pytest.approx(0.4)


def test_a_line_has_what_was_chosen_and_both_figures() -> None:
    (*_, line) = other_settings([learning([0.1, 0.2], momentum=0.5)]).splitlines()
    cells = line.strip("| ").split(" | ")
    assert cells[:6] == ["CReLU s=0.7 V'=0.7", "30", "100", "0.5", "0.0001", "0.02"]
    assert cells[6:9] == ["0.925", "0.92 ± 0.00", "never"]
