"""The record of deep networks with and without skips: how they are built and trained."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import sparsity_theory as st
from property_tests.support.networks import small_dataset
from torch_models.measurements.residual import (
    ARCHITECTURES,
    SETTINGS,
    Budget,
    Setting,
    build,
    step_,
    train_setting,
    train_settings,
)
from torch_models.networks.losses import cross_entropy
from torch_models.networks.observe import observe
from torch_models.networks.residual import ResidualEnsemble
from torch_models.records.files import read_record
from torch_models.reports.practice import residual_cell, residual_table
from torch_models.training import train

SMALL = Budget(width=12, depth=6, steps=8, batch_size=10, seeds=(0, 1), tested=20)


def quiet(line: str) -> None:
    """Takes what is told and says nothing."""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_architectures_start_with_the_designed_sparsity_in_their_first_layer(
    architecture: str,
) -> None:
    """Within 0.05: 600 units, and twenty images that share them."""
    dataset, budget = small_dataset(), Budget(width=600, depth=3, seeds=(0,))
    ensemble = build(Setting(architecture, "relu", 0.8), dataset, budget)
    shares = observe(ensemble, dataset.test_x[:20]).sparsity
    assert shares.shape == (1, 3)
    assert abs(float(shares[0, 0]) - 0.8) < 0.05


def test_architectures_are_those_of_the_theory() -> None:
    nets = {name: Setting(name, "relu", 0.8).net(100) for name in ARCHITECTURES}
    plain, residual, rescaled = (nets[name] for name in ARCHITECTURES[:3])
    assert isinstance(plain, st.Residual)
    assert plain.variance_map(1.7) == pytest.approx(plain.net.variance_map(1.7))
    assert isinstance(residual, st.Residual)
    assert (residual.alpha, residual.skip) == (0.1, 1.0)
    assert float(rescaled.variance_map(1.0)) == pytest.approx(1.0, rel=1e-12)
    assert float(residual.variance_map(1.0)) == pytest.approx(1.01, rel=1e-12)
    assert float(nets["pre-norm"].variance_map(1.0)) == pytest.approx(1.01, rel=1e-12)
    with pytest.raises(ValueError, match=r"architecture must be one of .*, got 'dense'"):
        Setting("dense", "relu", 0.8).net(3)


def test_a_member_that_diverges_stays_and_the_others_train_on() -> None:
    dataset = small_dataset()
    ensemble = build(Setting("rescaled", "relu", 0.5), dataset, SMALL)
    with torch.no_grad():
        ensemble.first[0] = math.inf
    loss = cross_entropy(ensemble(dataset.train_x), dataset.train_y).mean(-1).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    before = [parameter.clone() for parameter in ensemble.parameters()]
    finite = step_(ensemble, 0.1, torch.tensor([True, True]))
    assert finite.tolist() == [False, True]
    for old, new in zip(before, ensemble.parameters(), strict=True):
        assert torch.equal(old[0], new[0])
    assert not torch.equal(before[0][1], ensemble.first[1])


def test_train_names_networks_that_it_has_no_step_for() -> None:
    """These are measured, and trained by autograd in `torch_models.measurements.residual`."""
    net = st.Residual(st.edge_of_chaos(st.ShiftedReLU(0.5)), 0.5)
    ensemble = ResidualEnsemble(net, 20, 8, 3, 5, seeds=[0])
    with pytest.raises(TypeError, match="dense or convolutional, got ResidualEnsemble"):
        train(ensemble, small_dataset(), epochs=1, learning_rate=0.1, batch_size=8)  # type: ignore[arg-type]


def test_divergence_is_recorded_with_its_step() -> None:
    explosive = Budget(width=12, depth=6, steps=30, plain_learning_rate=1e20, seeds=(0,), tested=20)
    found = train_setting(Setting("plain", "st", 0.5), small_dataset(), explosive, quiet)
    (step,) = found["diverged"]
    assert 1 <= step <= 30
    assert residual_cell(found) == f"diverged at step {step}"


def test_training_lowers_the_loss() -> None:
    dataset, budget = small_dataset(), Budget(width=40, depth=4, seeds=(0,))
    ensemble = build(Setting("pre-norm", "relu", 0.8), dataset, budget)
    losses = []
    for _ in range(80):
        loss = cross_entropy(ensemble(dataset.train_x), dataset.train_y).mean(-1)
        ensemble.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        step_(ensemble, 0.05, torch.tensor([True]))
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_a_record_is_resumed_setting_by_setting_and_keeps_to_its_budget(tmp_path: Path) -> None:
    path, dataset = tmp_path / "record.json", small_dataset()
    train_settings(path, dataset, SMALL, SETTINGS[:1])
    told: list[str] = []
    train_settings(path, dataset, SMALL, SETTINGS[:3], told.append)
    assert told == ["rescaled relu 0.5", "residual relu 0.5"]
    record = read_record(path)
    assert [network["architecture"] for network in record["networks"]] == list(ARCHITECTURES[:0:-1])
    for network in record["networks"]:
        assert len(network["accuracy"]) == len(network["diverged"]) == 2
        assert [len(layers) for layers in network["sparsity_after"]] == [6, 6]
    table = residual_table(record).splitlines()
    assert table[0] == "| activation | residual | rescaled | pre-norm |"
    assert len(table) == 3
    assert table[2].startswith("| ReLU, s=0.5 | 0.")
    before = path.read_bytes()
    train_settings(path, dataset, SMALL, SETTINGS[:3])
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="was made with budget"):
        train_settings(path, dataset, Budget(), SETTINGS[:1])
