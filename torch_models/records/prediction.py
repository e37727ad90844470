"""What the theory says of a row before any network exists, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

import sparsity_theory as st
from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import CNN_KERNEL
from torch_models.records.outcomes import FAILED
from torch_models.records.runs import Experiment

PREDICTIONS = {
    "trains": "networks train and stay sparse",
    "explodes": "gradients explode, or the sparsity is lost",
    "learns slowly": "networks stay sparse and learn slowly, if at all",
    "dead": "most networks pass no gradient and learn nothing",
}
"""What the outcomes of a forecast mean."""

RULE = (
    "A row is predicted from its finite-width laws before any network exists: the probability that "
    "a run diverges, or that its sparsity ends more than 0.05 from the mean field's (more in "
    "networks narrower than 300), and how fast the others learn. The prediction is refuted by so "
    "many or so few failures that it gives them a probability below 1%."
)
"""How a row is judged."""

ENDS = {
    "trains": ("trained",),
    "explodes": FAILED,
    "learns slowly": ("not learned",),
    "dead": ("not learned",),
}
"""How the training of a network turns out that ends as was forecast."""


@dataclass(frozen=True)
class Prediction:
    """What the theory says of a row before any network exists.

    ``variance`` and ``sparsity`` are the mean-field values of layers 1 to L, ``gain`` is the
    product of chi(q^l) over layers 1 to L - 1 (Eq. 24); quantiles are the forecast's 5%, 50% and
    95%, for networks of this width. ``fixed_points`` is None where every variance is one
    (ReLU). ``outcome`` is that of `sparsity_theory.Forecast`.
    """

    tau: float
    m: float | None
    sigma_w2: float
    sigma_b2: float
    slope: float
    curvature: float
    chi: float
    fixed_points: tuple[st.FixedPoint, ...] | None
    input_variance: float
    variance: NDArray[np.float64]
    sparsity: NDArray[np.float64]
    gain: float
    failure_probability: float
    learnability: float | None
    left_basin: float
    variance_quantiles: tuple[float, float, float]
    gain_quantiles: tuple[float, float, float]
    sparsity_mean: NDArray[np.float64]
    sparsity_std: NDArray[np.float64]
    forecast_verdict: str
    outcome: str


IMPROBABLE = 0.01
"""As many or as few failures as were seen refute a forecast that gives them less than this."""


@dataclass(frozen=True)
class Verdict:
    """``status`` is "as the theory says", "not as the theory says" or "undecided"."""

    status: str
    reason: str


def predict(row: Design, experiment: Experiment, images: int) -> Prediction:
    """Say what the theory says of a row's networks, before there are any.

    ``images`` are those that they are trained on.
    """
    width, depth, positions = experiment.width, experiment.depth, experiment.positions
    phi, net = row.activation(), row.net()
    q0 = row.input_variance()
    # App. D: the first layer keeps the input's variance, so q^1 = q^0 and V acts L - 1 times.
    variance = np.asarray(net.trajectory(q0, depth - 1), dtype=np.float64)
    forecast = st.forecast(
        net,
        width,
        depth,
        q0=q0,
        kernel=None if positions is None else CNN_KERNEL,
        positions=positions,
        training_time=experiment.training_time(images),
    )
    return Prediction(
        tau=float(phi.tau),
        m=float(phi.m) if isinstance(phi, st.ClippedReLU | st.ClippedSoftThreshold) else None,
        sigma_w2=float(net.sigma_w2),
        sigma_b2=float(net.sigma_b2),
        slope=float(net.variance_slope(1.0)),
        curvature=float(net.variance_curvature(1.0)),
        chi=float(net.chi(1.0)),
        fixed_points=_fixed_points(net),
        input_variance=q0,
        variance=variance,
        sparsity=np.asarray(phi.sparsity(variance), dtype=np.float64),
        gain=float(np.prod(net.chi(variance[:-1]))),
        failure_probability=float(forecast.failure_probability),
        learnability=forecast.learnability,
        left_basin=float(forecast.left_basin),
        variance_quantiles=_three(forecast.final_variance),
        gain_quantiles=_three(forecast.gradient_growth),
        sparsity_mean=np.asarray(forecast.sparsity_mean, dtype=np.float64),
        sparsity_std=np.asarray(forecast.sparsity_std, dtype=np.float64),
        forecast_verdict=str(forecast.verdict),
        outcome=forecast.outcome,
    )


def judge(outcome: str, failure_probability: float, results: list[str]) -> Verdict:
    """Hold the networks' ends against the forecast of their row.

    A network fails if it diverges or loses its sparsity. So many or so few failures that the
    forecast failure probability makes them improbable refute it. What is forecast to explode is
    confirmed by a failure, what is forecast to train by networks that learn and do not fail more
    often than forecast; and what is forecast to learn slowly, or to be dead, by one that has not
    learned. All else is undecided: too few networks, or too short a training.
    """
    count = len(results)
    failed = sum(result in FAILED for result in results)
    learned = results.count("trained")
    seen = _describe(results)
    law = scipy.stats.binom(count, failure_probability)
    if min(law.cdf(failed), law.sf(failed - 1)) < IMPROBABLE:
        expected = f"{failure_probability:.1%} of runs were expected to fail"
        return Verdict("not as the theory says", f"{seen}, and {expected}")
    if outcome == "dead" and learned:
        return Verdict("not as the theory says", f"{seen}, and the networks were held for dead")
    confirmed = {
        "trains": learned > 0 and learned + failed == count,
        "explodes": failed > 0,
        "learns slowly": learned + failed < count,
        "dead": learned + failed < count,
    }
    if confirmed[outcome]:
        return Verdict("as the theory says", seen)
    return Verdict("undecided", f"{seen}: train longer, or more networks")


def _fixed_points(net: st.MeanField) -> tuple[st.FixedPoint, ...] | None:
    try:
        return st.fixed_points(net)
    except st.FixedPointContinuumError:  # V is the identity
        return None


def _three(values: Any) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in values)
    return low, middle, high


def _describe(results: list[str]) -> str:
    """Count the ends: ``2 of 3 diverged, 1 of 3 sparsity lost``."""
    count = len(results)
    kinds = dict.fromkeys(results)
    return ", ".join(f"{results.count(kind)} of {count} {kind}" for kind in kinds)
