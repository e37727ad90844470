"""Networks beyond the paper that were trained: transformers on text, a hundred layers with skips.

``results/transformers`` and ``results/residual`` have the records; `tools/measure.py` makes and
completes them, and ``docs/practice.md`` shows them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import sparsity_theory as st
from torch_models.measurements import residual, transformers
from torch_models.records.files import read_record

RESULTS = Path(__file__).parents[2] / "results"

Note = Callable[[str, object], None]

LOSS_WITHIN = 0.15
"""Of what GELU gains on the bigram: a larger share lost would be more than nearly as well."""

MLP_WITHIN = 0.15
"""Of the design; without training the share of zeros of an MLP is within 0.02 of it."""

CLASSIFIED = 0.8
"""Accuracy on MNIST after half an epoch; a constant guess has 0.11."""

KEPT = 0.05
"""Distance of the mean sparsity over layers from s; the plain rows of the paper are judged so."""


@cache
def transformers_record() -> dict[str, Any]:
    """Transformers trained on text."""
    return read_record(RESULTS / "transformers" / "python-topics.json")


@cache
def residual_record() -> dict[str, Any]:
    """Networks of a hundred layers trained on MNIST."""
    return read_record(RESULTS / "residual" / "mnist.json")


def sparse_transformers() -> list[dict[str, Any]]:
    """Those that have zeros."""
    return [each for each in transformers_record()["networks"] if each["sparsity"] is not None]


def loss_of_gelu() -> float:
    """The mean over seeds."""
    losses: list[float] = [
        each["validation_loss"]
        for each in transformers_record()["networks"]
        if each["kind"] == "gelu"
    ]
    return sum(losses) / len(losses)


@pytest.mark.claim("Transformers: trained")
def test_transformers_with_sparse_mlps_learn_text_nearly_as_well_as_with_gelu(
    record_property: Note,
) -> None:
    """Beside what GELU gains on the frequencies of pairs of bytes, which every one must beat."""
    record, best = transformers_record(), loss_of_gelu()
    gain = record["bigram_loss"] - best
    assert gain > 0.5
    shares = {0.5, 0.9, 0.95}
    assert shares <= {each["sparsity"] for each in sparse_transformers() if each["kind"] == "relu"}
    for each in sparse_transformers():
        assert each["validation_loss"] - best < LOSS_WITHIN * gain, each
    budget = record["budget"]
    record_property("note", f"{len(record['networks'])} networks")
    record_property(
        "reduced",
        f"width {budget['width']}, {budget['depth']} blocks, {budget['steps']} steps on bytes",
    )


@pytest.mark.claim("Transformers: trained")
def test_mlps_of_transformers_start_with_the_designed_sparsity_and_stay_sparse(
    record_property: Note,
) -> None:
    """A ReLU of s = 0.5 becomes sparser in training, which is named."""
    for each in sparse_transformers():
        assert all(abs(share - each["sparsity"]) < 0.02 for share in each["sparsity_before"])
        after = each["sparsity_after"]
        far = [share for share in after if abs(share - each["sparsity"]) > MLP_WITHIN]
        assert min(after) > each["sparsity"] - MLP_WITHIN, each
        if far:
            named = f"{each['kind']} s={each['sparsity']:g}: zeros up to {max(after):.2f}"
            record_property("otherwise", named)


@pytest.mark.claim("Residual: trained")
def test_deep_sparse_networks_that_fail_plain_train_with_skips(record_property: Note) -> None:
    """Without a clip at s = 0.9; plain ones of the same activation diverge."""
    record = residual_record()
    found = {(n["architecture"], n["kind"], n["sparsity"]): n for n in record["networks"]}
    plain = [n for (name, _, s), n in found.items() if name == "plain" and s > 0.5]
    skips = [n for (name, _, s), n in found.items() if name != "plain"]
    assert plain
    for network in plain:
        assert all(step is not None and step < 50 for step in network["diverged"]), network
    assert {("pre-norm", "relu", 0.9), ("rescaled", "relu", 0.9)} <= found.keys()
    for network in skips:
        assert network["diverged"] == [None] * len(network["diverged"])
        assert min(network["accuracy"]) > CLASSIFIED, network
    budget = record["budget"]
    record_property(
        "reduced",
        f"width {budget['width']}, depth {budget['depth']}, {budget['steps']} steps on MNIST",
    )


@pytest.mark.claim("Residual: trained")
def test_normalized_networks_keep_their_sparsity_and_others_lose_some_in_training() -> None:
    """Means over layers; what is not normalized starts with s too, if it is rescaled."""
    for network in residual_record()["networks"]:
        before, after = (
            statistics.mean(share for layers in network[name] for share in layers)
            for name in ("sparsity_before", "sparsity_after")
        )
        if network["architecture"] == "pre-norm":
            assert abs(after - network["sparsity"]) < KEPT, network
        if network["architecture"] == "rescaled":
            assert abs(before - network["sparsity"]) < KEPT, network
            if (network["kind"], network["sparsity"]) == ("relu", 0.9):
                assert after < before - 2 * KEPT


def test_the_recipe_says_which_of_these_networks_work() -> None:
    """The recipe's residual network is the rescaled one."""
    for architecture, name in (("residual", "rescaled"), ("pre-norm", "pre-norm")):
        found = st.recipe(architecture, 0.9, 64, 100, networks=100, training_time=5.0)  # type: ignore[arg-type]
        assert found.net == residual.Setting(name, "relu", 0.9).net(100)
        assert found.works
    plain = residual.Setting("plain", "relu", 0.9).net(100)
    assert isinstance(plain, st.Residual)
    assert st.forecast(plain.net, 64, 100, 100).outcome != "trains"


def test_the_records_are_of_the_budgets_in_the_code() -> None:
    for record, budget in (
        (transformers_record(), transformers.Budget()),
        (residual_record(), residual.Budget()),
    ):
        told = {name: getattr(budget, name) for name in record["budget"]}
        assert record["budget"] == {
            name: list(value) if isinstance(value, tuple) else value for name, value in told.items()
        }
        assert not record["provenance"]["commit"].endswith("+")


def test_speed_pays_where_mlps_are_wide_and_not_where_they_are_narrow() -> None:
    record = read_record(RESULTS / "transformers" / "speed-amd-epyc-1-thread.json")
    for model in record["models"]:
        assert model["ratio"] < model["bound"]
        if model["width"] == 64:
            assert model["ratio"] < 1.0
        elif model["sparsity"] >= 0.9:
            assert model["ratio"] > 1.05
