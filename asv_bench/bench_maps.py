"""The oracle: what its maps and solvers cost, and how exact they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import sparsity_theory as st
from asv_bench import reference
from asv_bench.labels import labelled

KINDS = list(st.ACTIVATIONS)
SPARSITY, SLOPE = 0.85, 0.7  # the paper's example: CReLU with s = 0.85 and V'(q*) = 0.7
VARIANCES = np.geomspace(1e-2, 1e2, 1_000_000)
CORRELATIONS = np.linspace(-1.0, 1.0, 100_000)
GAPS = np.geomspace(1e-12, 2.0, 100_000)

THRESHOLDS = (0.0, 0.2533, 1.0364, 5.0, 30.0)  # tau / sqrt(q): none to far in the tail
CLIPS = (1e-6, 1e-3, 1.1704, 10.0, 1e6)  # m / sqrt(q): thin pieces to clips that hardly ever act
REFERENCE_VARIANCE = 0.75


def initialization(kind: str) -> st.MeanField:
    """One of the four kinds on the edge of chaos."""
    activation: Any = st.ACTIVATIONS[kind]
    slope = {"slope": SLOPE} if activation.clipped else {}
    return st.edge_of_chaos(activation.for_sparsity(SPARSITY, **slope))


class VarianceMap:
    """V and its relatives over 1e6 variances."""

    params = KINDS
    param_names = ("kind",)

    def setup(self, kind: str) -> None:
        self.net = initialization(kind)

    @labelled("V at 1e6 variances")
    def time_variance_map(self, kind: str) -> None:
        self.net.variance_map(VARIANCES)

    @labelled("V' at 1e6 variances")
    def time_variance_slope(self, kind: str) -> None:
        self.net.variance_slope(VARIANCES)

    @labelled("V'' at 1e6 variances")
    def time_variance_curvature(self, kind: str) -> None:
        self.net.variance_curvature(VARIANCES)

    @labelled("chi at 1e6 variances")
    def time_chi(self, kind: str) -> None:
        self.net.chi(VARIANCES)


class CorrelationMap:
    """R, R' and 1 - R over 1e5 correlations."""

    params = KINDS
    param_names = ("kind",)

    def setup(self, kind: str) -> None:
        self.net = initialization(kind)

    @labelled("R at 1e5 correlations")
    def time_correlation_map(self, kind: str) -> None:
        self.net.correlation_map(CORRELATIONS)

    @labelled("R' at 1e5 correlations")
    def time_correlation_slope(self, kind: str) -> None:
        self.net.correlation_slope(CORRELATIONS)

    @labelled("1 - R at 1e5 gaps")
    def time_correlation_gap(self, kind: str) -> None:
        self.net.correlation_gap(GAPS)


class Solvers:
    """From a sparsity to an initialization and its fixed points."""

    params = KINDS
    param_names = ("kind",)

    def setup(self, kind: str) -> None:
        self.activation: Any = st.ACTIVATIONS[kind]
        sparsities = np.linspace(0.5, 0.999, 1000)
        if self.activation.clipped:
            slopes = np.linspace(0.05, 0.95, 10)
            self.wanted = {"s": sparsities[:, np.newaxis], "slope": slopes}
        else:
            self.wanted = {"s": np.repeat(sparsities, 10)}
        self.net = initialization(kind)

    @labelled("tau (and m) for 1e4 sparsities (and slopes)")
    def time_for_sparsity(self, kind: str) -> None:
        self.activation.for_sparsity(**self.wanted)

    @labelled("sigma_w^2 and sigma_b^2 of one activation")
    def time_edge_of_chaos(self, kind: str) -> None:
        st.edge_of_chaos(self.net.activation)

    @labelled("fixed points of one variance map")
    def time_fixed_points(self, kind: str) -> None:
        self.net.fixed_points()


class Forecast:
    """The finite-width law of the paper's example, at the default size."""

    def setup(self) -> None:
        self.net = initialization("crelu")

    @labelled("forecast of 1000 networks, width 300, depth 100")
    def time_forecast(self) -> None:
        st.forecast(self.net)


class Import:
    """A fresh interpreter."""

    @labelled("import sparsity_theory")
    def timeraw_import(self) -> str:
        return "import sparsity_theory"


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

    @labelled("worst relative error of the variance map and its solvers", unit="relative error")
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
    sides = 2 if activation.odd else 1
    for m in CLIPS if activation.clipped else (None,):
        phi = activation(tau) if m is None else activation(tau, m)
        case = tau, m, sides, q
        size = reference.expectation("V", *case) / q ** quantity.count("'")
        if quantity.startswith("V"):
            exact = reference.expectation(quantity, *case)
        elif quantity == "sigma_b^2":
            exact, size = reference.edge_bias(*case), q
        else:
            mass = reference.slope_mass(*case)
            exact = 1 / mass if quantity == "sigma_w^2" else mass
        yield phi, exact, size


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

    @labelled("worst relative error of the correlation map", unit="relative error")
    def track_worst_error(self, quantity: str) -> float:
        with reference.mp.workdps(reference.DIGITS):
            return max(float(abs(found / exact - 1)) for found, exact in self.cases)


REFERENCES = Path(__file__).parents[1] / "property_tests" / "bivariate_references.json"
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
