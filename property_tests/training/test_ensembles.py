"""Members of an ensemble: drawn, seen, selected and put back one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import sparsity_theory as st
from property_tests.support.networks import NETS, alone, same_parameters, small_ensemble, sphere
from torch_models.networks.dense import DenseEnsemble


@pytest.mark.parametrize("k", range(4))
def test_a_member_is_drawn_the_same_alone_and_in_an_ensemble(k: int) -> None:
    assert same_parameters(small_ensemble(), k, alone(small_ensemble(), k))


def test_members_with_inputs_of_their_own_see_those_only() -> None:
    ensemble = small_ensemble()
    x = sphere(20, 1.0, samples=4 * 6).float().reshape(4, 6, 20)
    own = ensemble(x)
    for k in range(4):
        torch.testing.assert_close(own[k], ensemble(x[k])[k])


def test_selected_members_are_copies() -> None:
    ensemble = small_ensemble()
    chosen = ensemble.select([3, 1])
    assert same_parameters(ensemble, 3, chosen, 0)
    assert same_parameters(ensemble, 1, chosen, 1)
    assert chosen.seeds == (3, 1)
    x = sphere(20, 1.0, samples=6).float()
    assert torch.equal(chosen(x), ensemble(x)[[3, 1]])
    with torch.no_grad():
        chosen.weights[0].zero_()
    assert ensemble.weights[0].count_nonzero() == ensemble.weights[0].numel()
    ensemble.assign([3, 1], chosen)
    assert same_parameters(ensemble, 3, chosen, 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nets": []}, "^nets must"),
        ({"seeds": [1]}, "^seeds must"),
        ({"depth": 0}, "^depth must"),
        ({"nets": [st.edge_of_chaos(st.ShiftedReLU([0.1, 0.2]))] * 4}, "numbers|single"),
    ],
)
def test_an_ensemble_that_makes_no_sense_is_refused(changed: dict[str, Any], message: str) -> None:
    shape: dict[str, Any] = {"in_features": 4, "width": 5, "depth": 2, "out_features": 3}
    settings = {"nets": list(NETS.values()), "seeds": range(4), **shape, **changed}
    with pytest.raises(ValueError, match=message):
        DenseEnsemble(**settings)


def test_an_input_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^x must have shape \(batch, 20\)"):
        small_ensemble()(torch.zeros(3, 19))
