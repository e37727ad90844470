"""How exact the oracle is: its largest errors on fixed grids, against far more digits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import sparsity_theory as st
from asv_bench import reference
from asv_bench.initializations import KINDS, SPARSITY
from asv_bench.labels import labelled

THRESHOLDS = (0.0, 0.2533, 1.0364, 5.0, 30.0)  # tau / sqrt(q): none to far in the tail
CLIPS = (1e-6, 1e-3, 1.1704, 10.0, 1e6)  # m / sqrt(q): thin pieces to clips that hardly ever act
REFERENCE_VARIANCE = 0.75
SPARSITIES = (0.51, 0.7, 0.85, 0.99, 1 - 1e-9)
SLOPES = (0.05, 0.5, 0.7, 0.9, 1 - 1e-6)
SLOPES_WITH_FIXED_POINTS = (0.5, 0.7, 0.9)  # CST at 0.9 has three of them


class WorstError:
    """The largest relative error over the four kinds on a fixed grid, against mpmath."""

    params = ("V", "V'", "V''", "chi", "sigma_w^2", "sigma_b^2")
    param_names = ("quantity",)

    def setup(self, quantity: str) -> None:
        if reference.mp is None:
            raise NotImplementedError("needs mpmath")
        self.cases = [
            case
            for kind in KINDS
            for tau in THRESHOLDS
            for case in reference_cases(st.ACTIVATIONS[kind], tau, quantity)
        ]

    @labelled("worst error of V, chi and the edge of chaos", unit="relative error")
    def track_worst_error(self, quantity: str) -> float:
        """The largest error relative to the exact value.

        V'' and sigma_b^2 of ReLU are zero, and V'' of a clip far out underflows: there the error
        is relative to 1e-60 of the size that V sets, which any nonzero result exceeds.
        """
        errors = []
        for phi, exact, size in self.cases:
            found = ORACLE[quantity](phi)
            errors.append(float(abs(found - exact) / max(abs(exact), size * 10**-60)))
        return max(errors)


ORACLE: dict[str, Callable[[Any], float]] = {
    "V": lambda phi: float(phi.mean_square(REFERENCE_VARIANCE)),
    "V'": lambda phi: float(phi.mean_square_slope(REFERENCE_VARIANCE)),
    "V''": lambda phi: float(phi.mean_square_curvature(REFERENCE_VARIANCE)),
    "chi": lambda phi: float(phi.mean_derivative_power(REFERENCE_VARIANCE, 2)),
    "sigma_w^2": lambda phi: float(st.edge_of_chaos(phi, REFERENCE_VARIANCE).sigma_w2),
    "sigma_b^2": lambda phi: float(st.edge_of_chaos(phi, REFERENCE_VARIANCE).sigma_b2),
}


def reference_cases(activation: Any, tau: float, quantity: str) -> Iterator[tuple[Any, Any, Any]]:
    """Activations for every clip, each with the exact value and the size that V sets."""
    q = REFERENCE_VARIANCE
    for m in CLIPS if activation.clipped else (None,):
        phi = activation(tau) if m is None else activation(tau, m)
        case = tau, m, sides(activation), q
        size = reference.expectation("V", *case) / q ** quantity.count("'")
        if quantity.startswith("V"):
            exact = reference.expectation(quantity, *case)
        elif quantity == "sigma_b^2":
            exact, size = reference.edge_bias(*case), q
        else:
            mass = reference.slope_mass(*case)
            exact = 1 / mass if quantity == "sigma_w^2" else mass
        yield phi, exact, size


class WorstSolverError:
    """The largest relative error of what the solvers find, against the exact root beside it."""

    params = ("tau", "m", "fixed points")
    param_names = ("quantity",)

    def setup(self, quantity: str) -> None:
        if reference.mp is None:
            raise NotImplementedError("needs mpmath")

    @labelled("worst error of tau, m and fixed points", unit="relative error")
    def track_worst_error(self, quantity: str) -> float:
        with reference.mp.workdps(reference.DIGITS):
            return max(float(abs(found / exact - 1)) for found, exact in SOLVED[quantity]())


Solved = Iterator[tuple[float, Any]]
"""What the oracle finds, with the exact value."""


def thresholds() -> Solved:
    for kind in KINDS:
        activation: Any = st.ACTIVATIONS[kind]
        for s in SPARSITIES:
            slope = {"slope": 0.5} if activation.clipped else {}
            phi = activation.for_sparsity(s, q_star=REFERENCE_VARIANCE, **slope)
            yield float(phi.tau), reference.threshold(s, sides(activation), REFERENCE_VARIANCE)


def clips() -> Solved:
    for activation in CLIPPED:
        for s, slope in product(SPARSITIES, SLOPES):
            m = float(activation.for_sparsity(s, slope, REFERENCE_VARIANCE).m)
            yield m, reference.clip(s, slope, sides(activation), REFERENCE_VARIANCE, near=m)


def fixed_points() -> Solved:
    for activation, slope in product(CLIPPED, SLOPES_WITH_FIXED_POINTS):
        phi = activation.for_sparsity(SPARSITY, slope)
        net = st.edge_of_chaos(phi)
        numbers = [float(each) for each in (phi.tau, phi.m, net.sigma_w2, net.sigma_b2)]
        for point in st.fixed_points(net):
            yield point.q, reference.fixed_point(sides(activation), *numbers, near=point.q)


CLIPPED: tuple[Any, ...] = (st.ClippedReLU, st.ClippedSoftThreshold)
SOLVED = {"tau": thresholds, "m": clips, "fixed points": fixed_points}


def sides(activation: Any) -> int:
    """On how many sides of zero phi rises."""
    return 2 if activation.odd else 1


class WorstCorrelationError:
    """The largest relative error of the correlation integrals in the corners of their domain.

    Against the recorded references that the property tests use.
    """

    params = ("R", "R'", "1 - R")
    param_names = ("quantity",)

    def setup(self, quantity: str) -> None:
        if reference.mp is None:
            raise NotImplementedError("needs mpmath")
        records = json.loads(REFERENCES.read_text(encoding="utf-8"))
        named = [record for record in records if "kind" in record]
        with reference.mp.workdps(reference.DIGITS):
            self.cases = list(correlation_cases(named, quantity))

    @labelled("worst error of the correlation map", unit="relative error")
    def track_worst_error(self, quantity: str) -> float:
        with reference.mp.workdps(reference.DIGITS):
            return max(float(abs(found / exact - 1)) for found, exact in self.cases)


REFERENCES = Path(__file__).parents[1] / "property_tests" / "references" / "bivariate.json"
FLOOR = 1e-290  # below it a product of two densities is no normal double
ONE = np.ones(())


def correlation_cases(records: list[dict[str, Any]], quantity: str) -> Iterator[tuple[float, Any]]:
    """What the oracle finds, with the recorded value."""
    at, value = {"R": ("rho", "value"), "R'": ("rho", "slope"), "1 - R": ("gap", "value")}[quantity]
    method = {
        "R": "mean_product",
        "R'": "mean_product_of_derivatives",
        "1 - R": "mean_product_gap",
    }[quantity]
    for record in records:
        if at in record and abs(exact := reference.mp.mpf(record[value])) > FLOOR:
            activation: Any = st.ACTIVATIONS[record["kind"]]
            clip = () if record["m"] is None else (record["m"],)
            phi = activation(record["tau"], *clip)
            yield float(getattr(phi, method)(np.asarray(record[at]), ONE)), exact
