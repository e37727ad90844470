"""Forecasts that were written down before any network of theirs was trained.

``tools/blind.py`` drew the settings, forecast and trained them; ``results/blind`` has the files of
two seeds, and the history has the forecasts before the outcomes. The second seed was drawn after
the first had shown that the forecast must know for how long a network is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from torch_models.experiments.blind import (
    Budget,
    draw_settings,
    forecast_settings,
    score,
    settings_of,
    train_settings,
)
from torch_models.records.files import read_record, write_record
from torch_models.records.outcomes import FAILED

FOLDER = Path(__file__).parents[2] / "results" / "blind"
SEEDS = (2026, 2027)

Note = Callable[[str, object], None]


def records(seed: int = SEEDS[-1]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The forecasts of a seed, and the outcomes."""
    folder = FOLDER / f"seed-{seed}"
    return read_record(folder / "forecasts.json"), read_record(folder / "outcomes.json")


@pytest.mark.claim("Blind forecast")
def test_what_was_forecast_blind_ranks_what_came_out(record_property: Note) -> None:
    """Rejected: that sparsity, depth over width, or learnability, rank the failures as well."""
    told, seen = records()
    found = score(told, seen)
    assert found.settings == len(told["settings"]) >= 80
    assert found.auc > 0.9
    assert found.by_loss_of_stable > 0.9
    settings = told["settings"]
    for wrong in (
        [each["sparsity"] for each in settings],
        [each["depth"] / each["width"] for each in settings],
        [-(each["forecast"]["learnability"] or 0.0) for each in settings],
    ):
        pairs = zip(settings, wrong, strict=True)
        other = {**told, "settings": [replaced(each, number) for each, number in pairs]}
        assert score(other, seen).auc < found.auc - 0.05
    record_property("note", found.lines()[0])
    record_property("reduced", "one network a setting, 30 epochs on digits, widths 50 to 400")
    if not 0.8 < found.observed / found.expected < 1.25:
        record_property(
            "otherwise", f"{found.observed} failed where {found.expected:.1f} were expected"
        )


def replaced(setting: dict[str, Any], probability: float) -> dict[str, Any]:
    """The setting with another number for its failure probability."""
    return {**setting, "forecast": {**setting["forecast"], "failure_probability": probability}}


@pytest.mark.claim("Blind forecast")
def test_nothing_simpler_than_learnability_orders_the_losses_as_well() -> None:
    """Over networks not forecast to explode: sparsity, depth, or depth over width order less."""
    told, seen = records()
    pairs = [
        (setting, outcome["loss"])
        for setting, outcome in zip(told["settings"], seen["outcomes"], strict=True)
        if setting["forecast"]["outcome"] != "explodes" and outcome["outcome"] not in FAILED
    ]
    losses = [loss for _, loss in pairs]
    for wrong in (
        [setting["sparsity"] for setting, _ in pairs],
        [setting["depth"] for setting, _ in pairs],
        [setting["depth"] / setting["width"] for setting, _ in pairs],
    ):
        assert stats.spearmanr(wrong, losses).statistic < score(told, seen).by_loss_of_stable - 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_the_settings_are_those_of_the_seed(seed: int) -> None:
    told, _ = records(seed)
    assert told["seed"] == seed
    assert settings_of(told) == draw_settings(seed, len(told["settings"]))
    assert told["budget"] == asdict(Budget())


def test_outcomes_belong_to_their_forecasts_and_are_not_trained_twice(tmp_path: Path) -> None:
    forecasts, outcomes = tmp_path / "forecasts.json", tmp_path / "outcomes.json"
    write_record(forecasts, forecast_settings(5, 2, Budget(epochs=1), networks=20))
    train_settings(forecasts, outcomes)
    before = outcomes.read_bytes()
    lines: list[str] = []
    train_settings(forecasts, outcomes, lines.append)
    assert (lines, outcomes.read_bytes()) == ([], before)
    write_record(forecasts, forecast_settings(6, 2, Budget(epochs=1), networks=20))
    with pytest.raises(ValueError, match="has the outcomes of other forecasts"):
        train_settings(forecasts, outcomes)


def test_a_perfect_and_a_useless_forecast_are_scored_so() -> None:
    def told(probabilities: list[float]) -> dict[str, Any]:
        forecasts = [
            {"failure_probability": p, "learnability": float(i), "outcome": "trains"}
            for i, p in enumerate(probabilities)
        ]
        return {"settings": [{"forecast": each} for each in forecasts]}

    seen = {
        "outcomes": [
            {"outcome": "diverged", "loss": 3.0, "accuracy": 0.1},
            *({"outcome": "trained", "loss": 2.0 - i, "accuracy": 0.5 + i / 10} for i in range(3)),
        ]
    }
    perfect, useless = score(told([1.0, 0, 0, 0]), seen), score(told([0.5] * 4), seen)
    assert (perfect.right, useless.right) == (3, 3)
    assert (perfect.auc, perfect.brier, perfect.expected, perfect.observed) == (1.0, 0.0, 1.0, 1)
    assert (useless.auc, useless.brier, useless.expected) == (0.5, 0.25, 2.0)
    assert perfect.by_loss == pytest.approx(1.0)
    with pytest.raises(ValueError, match="some networks must fail and some not, got 0"):
        score(told([0.5]), {"outcomes": seen["outcomes"][1:2]})
    assert np.isclose(sum(count for _, _, count, _, _ in perfect.bins), 4)
