"""Training: SGD on ensembles, whose members do not depend on each other, diverged or not."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sparsity_theory as st
from property_tests.support.networks import (
    NETS,
    alone,
    broken,
    same_parameters,
    small_dataset,
    small_ensemble,
)
from torch_models.data import Dataset
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import evaluate
from torch_models.networks.threads import reproducible_threads
from torch_models.training.backpropagation import backpropagation
from torch_models.training.divergence import Divergence
from torch_models.training.epochs import EpochStatistics
from torch_models.training.loop import Training, train
from torch_models.training.schedule import Schedule


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_is_that_of_torch_s_sgd(momentum: float) -> None:
    data, rate, batch_size, epochs = small_dataset(), 0.05, 16, 2
    scales = [0.5, 1.0, 1.5, 2.0]
    ours, reference = (
        DenseEnsemble(list(NETS.values()), 20, 40, 3, 5, range(4), input_scales=scales)
        for _ in range(2)
    )
    settings: dict[str, Any] = {"epochs": epochs, "learning_rate": rate, "batch_size": batch_size}
    train(ours, data, seed=4, momentum=momentum, **settings)
    optimizer = torch.optim.SGD(reference.parameters(), lr=rate, momentum=momentum)
    order = torch.Generator().manual_seed(4)
    for _ in range(epochs):
        shuffled = torch.randperm(len(data.train_x), generator=order)
        for batch in (shuffled[i : i + batch_size] for i in range(0, len(shuffled), batch_size)):
            logits, labels = reference(data.train_x[batch]), data.train_y[batch]
            loss = torch.stack(
                [nn.functional.cross_entropy(member, labels) for member in logits]
            ).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    for own, theirs in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-7)


def test_training_learns() -> None:
    data, ensemble = small_dataset(), small_ensemble()
    result = train(ensemble, data, epochs=30, learning_rate=0.05, batch_size=10)
    assert result.divergences == (None,) * 4
    assert [statistics.epoch for statistics in result.epochs] == list(range(1, 31))
    first, last = result.epochs[0], result.epochs[-1]
    assert (last.loss < 0.7 * first.loss).all()
    final = evaluate(ensemble, data.validation_x, data.validation_y)
    np.testing.assert_array_equal(final.accuracy, last.validation_accuracy)
    np.testing.assert_array_equal(final.sparsity, last.sparsity)


# Batches of 32 and 6 at width 300 are shapes whose products do depend on the number of threads.
def digits_like(
    features: int = 20, classes: int = 5
) -> tuple[Dataset, Callable[[], DenseEnsemble]]:
    def ensemble() -> DenseEnsemble:
        return DenseEnsemble(list(NETS.values()), features, 300, 2, classes, range(4))

    return small_dataset(features=features, classes=classes), ensemble


@pytest.mark.parametrize(("features", "classes"), [(20, 5), (8, 40)])
def test_a_member_trains_the_same_alone_and_in_an_ensemble(
    threads: int, features: int, classes: int
) -> None:
    data, ensemble = digits_like(features, classes)
    settings: dict[str, Any] = {"epochs": 2, "learning_rate": 0.02, "batch_size": 32}
    stack = ensemble()
    together = train(stack, data, **settings)
    for k in range(4):
        single = alone(ensemble(), k)
        by_itself = train(single, data, **settings)
        assert same_parameters(stack, k, single)
        for ours, theirs in zip(together.epochs, by_itself.epochs, strict=True):
            assert ours.loss[k] == theirs.loss[0]
            assert ours.validation_accuracy[k] == theirs.validation_accuracy[0]


def test_a_member_is_measured_the_same_alone_and_in_an_ensemble(threads: int) -> None:
    data, ensemble = digits_like(features=8)
    x, y = data.train_x, data.train_y
    stack = ensemble()
    norms = backpropagation(stack).forward_backward(x, y).gradient_norms()
    evaluated = evaluate(stack, x[:6], y[:6])
    for k in range(4):
        single = alone(ensemble(), k)
        assert torch.equal(
            backpropagation(single).forward_backward(x, y).gradient_norms()[0], norms[k]
        )
        assert evaluate(single, x[:6], y[:6]).loss[0] == evaluated.loss[k]


def test_a_lone_network_uses_no_more_threads_than_its_numbers_bear(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many for an ensemble; two for one member, unless they sleep; one for a narrow product."""

    def used(members: int, *sides: int) -> int:
        with reproducible_threads(members, *sides):
            return torch.get_num_threads()

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert used(1, 32, 300) == used(2, 1, 300) == threads
    assert used(1, 300, 31) == 1
    torch.set_num_threads(4)
    assert used(2, 300, 300) == torch.get_num_threads() == 4
    assert used(1, 300, 300) == 1
    torch.set_num_threads(2)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert used(1, 300, 300) == 1


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize(
    ("factor", "kind"), [(math.inf, "non-finite loss"), (1e9, "gradient above 1e6")]
)
def test_a_member_that_diverges_is_recorded_and_frozen_and_the_others_go_on_unchanged(
    factor: float, kind: str, momentum: float, threads: int
) -> None:
    data, ensemble = digits_like()
    settings: dict[str, Any] = {"epochs": 2, "learning_rate": 0.02, "batch_size": 32}
    settings["momentum"] = momentum
    stack = broken(ensemble(), [0, 1, 3], factor)
    before = copy.deepcopy(stack)
    result = train(stack, data, **settings)
    divergence = Divergence(step=1, epoch=1, kind=kind)  # type: ignore[arg-type]
    assert result.divergences == (divergence, divergence, None, divergence)
    single = alone(ensemble(), 2)
    by_itself = train(single, data, **settings)
    assert same_parameters(stack, 2, single)
    for k in (0, 1, 3):
        pairs = zip(stack.parameters(), before.parameters(), strict=True)
        assert all(torch.equal(own[k], old[k]) for own, old in pairs)
    for ours, theirs in zip(result.epochs, by_itself.epochs, strict=True):
        assert np.isnan(ours.loss).tolist() == [True, True, False, True]
        assert np.isnan(ours.sparsity).all(-1).tolist() == [True, True, False, True]
        assert ours.loss[2] == theirs.loss[0]


def test_a_member_that_diverges_on_its_way_keeps_its_last_sound_weights() -> None:
    """The rate is far too large for the unclipped kind, and does not harm the clipped one."""
    data = small_dataset()
    ensemble = DenseEnsemble([NETS["cst"], NETS["st"]], 20, 40, 12, 5, [1, 2])
    settings: dict[str, Any] = {"learning_rate": 0.2, "batch_size": 10}
    result = train(ensemble, data, epochs=12, **settings)
    assert result.divergences[0] is None
    divergence = result.divergences[1]
    assert divergence is not None
    assert 1 < divergence.step <= divergence.epoch * 7
    assert all(parameter.isfinite().all() for parameter in ensemble.parameters())
    again = DenseEnsemble([NETS["cst"]], 20, 40, 12, 5, [1])
    train(again, data, epochs=12, **settings)
    assert same_parameters(ensemble, 0, again)


def test_each_member_is_held_to_the_sparsity_it_was_made_for() -> None:
    """Less than half of a neighbour's is enough for one that was made for little."""
    nets = [NETS["crelu"], st.edge_of_chaos(st.SoftThreshold.for_sparsity(0.3)), NETS["crelu"]]
    ensemble = DenseEnsemble(nets, 20, 40, 3, 5, range(3))
    with torch.no_grad():
        for bias in list(ensemble.biases)[:-1]:
            bias[2] += 2.0  # beyond tau = 1.04, so that most units are active
    result = train(ensemble, small_dataset(), epochs=1, learning_rate=1e-6, batch_size=10)
    lost = Divergence(step=7, epoch=1, kind="sparsity halved")
    assert result.divergences == (None, None, lost)
    assert 0.2 < result.epochs[0].sparsity[1].mean() < 0.425


def test_a_data_set_smaller_than_a_batch_is_one_step_an_epoch() -> None:
    data, ensemble = small_dataset(samples=7), broken(small_ensemble(), [1], math.inf)
    expected = evaluate(ensemble, data.train_x, data.train_y).loss
    result = train(ensemble, data, epochs=3, learning_rate=0.01, batch_size=10)
    divergence = Divergence(step=1, epoch=1, kind="non-finite loss")
    assert result.divergences == (None, divergence, None, None)
    assert len(result.epochs) == 3
    np.testing.assert_allclose(result.epochs[0].loss[[0, 2, 3]], expected[[0, 2, 3]], rtol=1e-6)


def test_the_loss_of_an_epoch_is_the_mean_over_samples_whatever_the_batches() -> None:
    """At a rate too small to change it, with a last batch of six."""
    data, ensemble = small_dataset(), small_ensemble()
    expected = evaluate(ensemble, data.train_x, data.train_y).loss
    result = train(ensemble, data, epochs=2, learning_rate=1e-9, batch_size=32)
    for statistics in result.epochs:
        np.testing.assert_allclose(statistics.loss, expected, rtol=1e-6)


def test_training_ends_early_when_every_member_has_diverged() -> None:
    ensemble = broken(small_ensemble(), [0, 1, 2, 3], math.inf)
    seen: list[EpochStatistics] = []
    result = train(
        ensemble, small_dataset(), epochs=5, learning_rate=0.1, batch_size=10, on_epoch=seen.append
    )
    assert len(result.epochs) == len(seen) == 1
    assert np.isnan(seen[0].loss).all()
    assert None not in result.divergences


def test_an_interrupted_training_leaves_the_weights_of_its_last_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in the middle of an epoch, with one member already dropped; and with none."""
    advance = Training.advance

    def stopped(ensemble: DenseEnsemble) -> DenseEnsemble:
        def until_the_tenth(training: Training) -> None:  # of seven in an epoch
            if training.step == 10:
                raise KeyboardInterrupt
            advance(training)

        monkeypatch.setattr(Training, "advance", until_the_tenth)
        with pytest.raises(KeyboardInterrupt):
            train(ensemble, small_dataset(), epochs=9, learning_rate=0.05, batch_size=10)
        return ensemble

    reduced, whole = stopped(broken(small_ensemble(), [1], math.inf)), stopped(small_ensemble())
    assert all(same_parameters(reduced, k, whole, k) for k in (0, 2, 3))
    assert not same_parameters(whole, 0, small_ensemble(), 0)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": -0.1}, "momentum"),
        ({"momentum": math.nan}, "momentum"),
        ({"dataset": small_dataset(features=21)}, "dataset"),
        ({"dataset": small_dataset(classes=6)}, "dataset"),
        ({"dataset": small_dataset(samples=0)}, "dataset"),
        ({"dataset": replace(small_dataset(), train_y=torch.arange(69) % 5)}, "dataset"),
        ({"dataset": replace(small_dataset(), train_y=torch.arange(70) % 6)}, "dataset"),
        ({"dataset": replace(small_dataset(), train_y=torch.arange(70) % 5 - 1)}, "dataset"),
    ],
)
def test_bad_training_settings_are_named(changed: dict[str, Any], named: str) -> None:
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    with pytest.raises(ValueError, match=f"^{named} "):
        train(small_ensemble(), **{"dataset": small_dataset(), **settings, **changed})


def test_a_state_stays_as_it_was_when_training_goes_on() -> None:
    trained = Training(small_ensemble(), small_dataset(), Schedule(2, 0.1, 16))
    trained.advance()
    state = trained.state()
    before = copy.deepcopy(state)
    for _ in range(6):
        trained.advance()
    assert str(state) == str(before)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_training_goes_on_from_its_state_as_if_never_stopped(momentum: float) -> None:
    """From the middle of an epoch, where one member has diverged and one has lost its sparsity."""
    ensemble = broken(small_ensemble(), [1], 1e9)
    schedule = Schedule(3, 0.05, 16, momentum=momentum)
    with torch.no_grad():
        ensemble.biases[1][2] = 5.0  # above tau, so that no unit rests
        ensemble.biases[2][2] = 5.0
    whole = Training(ensemble, small_dataset(), schedule)
    for _ in range(7):
        whole.advance()
    whole.write_back()
    assert whole.training_members == [0, 3]
    other = Training(copy.deepcopy(ensemble), small_dataset(), schedule)
    for own, theirs in zip(other.velocity, whole.velocity, strict=True):
        own.copy_(theirs)
    other.resume(whole.state())
    for each in (whole, other):
        while not each.finished:
            each.advance()
        each.write_back()
    assert other.divergences == whole.divergences
    assert str(other.epochs) == str(whole.epochs)
    for own, theirs in zip(whole.ensemble.parameters(), other.ensemble.parameters(), strict=True):
        assert torch.equal(own, theirs)
