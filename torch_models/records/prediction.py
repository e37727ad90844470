"""What the theory says of a row before any network exists, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sparsity_theory as st
from sparsity_theory.published.rows import Design

CLIPPED = (st.ClippedReLU, st.ClippedSoftThreshold)


@dataclass(frozen=True)
class Prediction:
    """What the theory says of a row before any network exists.

    ``variance`` and ``sparsity`` are the mean-field values of layers 1 to L, ``gain`` is the
    product of chi(q^l) over layers 1 to L - 1 (Eq. 24); quantiles are the forecast's 5%, 50% and
    95%, for networks of this width. ``fixed_points`` is None where every variance is one
    (ReLU). ``outcome`` is ``"trains"``, ``"fails"`` or ``"open"``.
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
    left_basin: float
    variance_quantiles: tuple[float, float, float]
    gain_quantiles: tuple[float, float, float]
    sparsity_mean: NDArray[np.float64]
    sparsity_std: NDArray[np.float64]
    forecast_verdict: str
    outcome: str


@dataclass(frozen=True)
class Verdict:
    """``status`` is "as the theory says", "not as the theory says", "undecided" or "open"."""

    status: str
    reason: str


def predict(row: Design, width: int, depth: int) -> Prediction:
    """Say what the theory says of networks of this row, width and depth, before there are any."""
    phi, net = row.activation(), row.net()
    q0 = row.input_variance()
    # App. D: the first layer keeps the input's variance, so q^1 = q^0 and V acts L - 1 times.
    variance = np.asarray(net.trajectory(q0, depth - 1), dtype=np.float64)
    forecast = st.forecast(net, width=width, depth=depth, q0=q0)
    return Prediction(
        tau=float(phi.tau),
        m=float(phi.m) if isinstance(phi, CLIPPED) else None,
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
        left_basin=float(forecast.left_basin),
        variance_quantiles=_three(forecast.final_variance),
        gain_quantiles=_three(forecast.gradient_growth),
        sparsity_mean=np.asarray(forecast.sparsity_mean, dtype=np.float64),
        sparsity_std=np.asarray(forecast.sparsity_std, dtype=np.float64),
        forecast_verdict=str(forecast.verdict),
        outcome=forecast.outcome,
    )


def judge(outcome: str, results: list[str]) -> Verdict:
    """Hold the networks' ends against the predicted outcome of their row.

    A network fails if it diverges or loses its sparsity. A row predicted to train is refuted by
    one that fails, and confirmed when all have learned; a row predicted to fail is confirmed by
    one that fails, and refuted when all have learned. A row with no failure in which some have not
    learned says nothing for either side: the run was too short.
    """
    count = len(results)
    failed = sum(result in ("diverged", "sparsity lost") for result in results)
    learned = results.count("trained")
    seen = _describe(results)
    if outcome == "open":
        return Verdict("open", f"the forecast takes no side; {seen}")
    if not failed and learned < count:
        return Verdict("undecided", f"{seen}: stable, but train longer to see whether it learns")
    if (failed == 0) == (outcome == "trains"):
        return Verdict("as the theory says", seen)
    return Verdict("not as the theory says", f"{seen}, and the forecast was that it {outcome}")


def _fixed_points(net: st.MeanField) -> tuple[st.FixedPoint, ...] | None:
    try:
        return st.fixed_points(net)
    except ValueError:  # V is the identity
        return None


def _three(values: Any) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in values)
    return low, middle, high


def _describe(results: list[str]) -> str:
    """Count the ends: ``2 of 3 diverged, 1 of 3 lost sparsity``."""
    count = len(results)
    kinds = dict.fromkeys(results)
    return ", ".join(f"{results.count(kind)} of {count} {kind}" for kind in kinds)
