"""What `st.recipe` chooses for an architecture, and that it says when nothing would work."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest

import sparsity_theory as st
from sparsity_theory.finite_width.recipe import Architecture, Kind

NETWORKS = 60


def recipe(architecture: Any, sparsity: float, width: int, depth: int, **options: Any) -> st.Recipe:
    """From few networks."""
    return st.recipe(architecture, sparsity, width, depth, networks=NETWORKS, **options)


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_every_recipe_has_the_sparsity_that_was_asked_for(
    architecture: Architecture, kind: Kind
) -> None:
    found = recipe(architecture, 0.8, 64, 6, kind=kind, positions=(4, 4))
    assert found.activation.sparsity(1.0) == pytest.approx(0.8, rel=1e-12)
    assert found.works
    assert found.sparsity == pytest.approx((0.8, 0.8), abs=0.05)
    assert found.numbers()["tau"] == found.activation.tau  # type: ignore[attr-defined]
    assert all(math.isfinite(number) for number in found.numbers().values())
    assert str(found).splitlines()[0].startswith(f"{architecture}, width 64, depth 6: ")


def test_a_plain_network_is_clipped_when_it_is_deep_and_not_when_it_is_shallow() -> None:
    assert type(recipe("plain", 0.7, 300, 4).activation) is st.ShiftedReLU
    deep = recipe("plain", 0.85, 300, 100)
    assert type(deep.activation) is st.ClippedReLU
    assert deep.works
    assert deep.forecast.failure_probability <= 0.05
    net = deep.net
    assert isinstance(net, st.MeanField)
    assert float(net.variance_map(1.0)) == pytest.approx(1.0, rel=1e-12)
    assert float(net.chi(1.0)) == pytest.approx(1.0, rel=1e-12)


def test_skips_need_no_clip_where_plain_networks_do() -> None:
    for architecture in ("residual", "pre-norm", "transformer"):
        found = recipe(architecture, 0.85, 300, 100)
        assert type(found.activation) is st.ShiftedReLU
        assert found.works
    residual = recipe("residual", 0.85, 300, 100).net
    assert isinstance(residual, st.Residual)
    assert residual.alpha**2 + residual.skip**2 == pytest.approx(1.0)
    assert float(residual.variance_map(1.0)) == pytest.approx(1.0, rel=1e-12)
    pre_norm = recipe("pre-norm", 0.85, 300, 100).net
    assert isinstance(pre_norm, st.PreNorm)
    assert float(pre_norm.increment) == pytest.approx(1 / 100, rel=1e-12)


def test_what_would_not_work_is_said_with_the_reason_and_what_may() -> None:
    found = recipe("plain", 0.95, 50, 200)
    assert not found.works
    assert "no clip keeps the failures" in found.reason
    assert "pre-norm" in found.reason
    assert "would not work" in str(found)
    assert found.watch == ()
    assert not recipe("pre-norm", 0.999, 10, 50).works


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "recurrent"}, "architecture must be one of 'plain', .* got 'recurrent'"),
        ({"kind": "crelu"}, "kind must be 'relu' or 'st', got 'crelu'"),
        ({"risk": 1.0}, "risk must be strictly between 0 and 1, got 1.0"),
        ({"sparsity": 1.5}, "sparsity must be strictly between 0 and 1, got 1.5"),
        ({"sparsity": [0.7, 0.8]}, r"sparsity must be a single number, got shape \(2,\)"),
        ({"sparsity": 0.4}, r"sparsity must be at least 0\.5 for 'relu' .*, got 0\.4"),
        ({"sparsity": 0.4, "architecture": "pre-norm"}, "sparsity must be at least .*, got 0.4"),
        ({"depth": 0}, "depth must be an integer of at least 1, got 0"),
        ({"width": 0}, "width must be an integer of at least 1, got 0"),
    ],
)
def test_bad_input_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"architecture": "plain", "sparsity": 0.8, "width": 20, "depth": 3}
    with pytest.raises(ValueError, match=message):
        st.recipe(**{**given, **change})


def test_the_words_have_the_numbers() -> None:
    found = recipe("transformer", 0.9, 64, 3)
    text = str(found)
    for name, value in found.numbers().items():
        assert f"{name} = {value:.4g}" in text
    assert len(found.watch) == 2
    assert np.isfinite(found.forecast.failure_probability)
