"""The oracle: what its maps and solvers cost, and how exact the variance map is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import sparsity_theory as st
from asv_bench import reference
from asv_bench.labels import labelled

KINDS = list(st.ACTIVATIONS)
SPARSITY, SLOPE = 0.85, 0.7  # the paper's example: CReLU with s = 0.85 and V'(q*) = 0.7
VARIANCES = np.geomspace(1e-2, 1e2, 100_000)
CORRELATIONS = np.linspace(-1.0, 1.0, 10_000)
GAPS = np.geomspace(1e-12, 2.0, 10_000)

THRESHOLDS = (0.0, 0.2533, 1.0364, 5.0, 30.0)  # tau / sqrt(q): none to far in the tail
CLIPS = (1e-6, 1e-3, 1.1704, 10.0, 1e6)  # m / sqrt(q): thin pieces to clips that hardly ever act
REFERENCE_VARIANCE = 0.75


def initialization(kind: str) -> st.MeanField:
    """One of the four kinds on the edge of chaos."""
    activation: Any = st.ACTIVATIONS[kind]
    slope = {"slope": SLOPE} if activation.clipped else {}
    return st.edge_of_chaos(activation.for_sparsity(SPARSITY, **slope))


class VarianceMap:
    """V and its relatives over 1e5 variances."""

    params = KINDS
    param_names = ("kind",)

    def setup(self, kind: str) -> None:
        self.net = initialization(kind)

    @labelled("V at 1e5 variances")
    def time_variance_map(self, kind: str) -> None:
        self.net.variance_map(VARIANCES)

    @labelled("V' at 1e5 variances")
    def time_variance_slope(self, kind: str) -> None:
        self.net.variance_slope(VARIANCES)

    @labelled("V'' at 1e5 variances")
    def time_variance_curvature(self, kind: str) -> None:
        self.net.variance_curvature(VARIANCES)

    @labelled("chi at 1e5 variances")
    def time_chi(self, kind: str) -> None:
        self.net.chi(VARIANCES)


class CorrelationMap:
    """R, R' and 1 - R over 1e4 correlations."""

    params = KINDS
    param_names = ("kind",)

    def setup(self, kind: str) -> None:
        self.net = initialization(kind)

    @labelled("R at 1e4 correlations")
    def time_correlation_map(self, kind: str) -> None:
        self.net.correlation_map(CORRELATIONS)

    @labelled("R' at 1e4 correlations")
    def time_correlation_slope(self, kind: str) -> None:
        self.net.correlation_slope(CORRELATIONS)

    @labelled("1 - R at 1e4 gaps")
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

    params = ("V", "V'", "V''")
    param_names = ("map",)

    def setup(self, quantity: str) -> None:
        if reference.mp is None:
            raise NotImplementedError("needs mpmath")
        self.cases = [
            case
            for kind in KINDS
            for tau in THRESHOLDS
            for case in reference_cases(st.ACTIVATIONS[kind], tau, quantity)
        ]

    @labelled("worst relative error of V, V' and V''", unit="relative error")
    def track_worst_error(self, quantity: str) -> float:
        """The largest error relative to the exact value.

        V'' of ReLU is zero, and that of a clip far out underflows: there the error is relative to
        1e-60 of the size that V sets, which any nonzero result exceeds.
        """
        name = {"V": "variance_map", "V'": "variance_slope", "V''": "variance_curvature"}[quantity]
        errors = []
        for net, exact, size in self.cases:
            found = float(getattr(net, name)(REFERENCE_VARIANCE))
            errors.append(float(abs(found - exact) / max(abs(exact), size * 10**-60)))
        return max(errors)


def reference_cases(activation: Any, tau: float, quantity: str) -> Iterator[tuple[Any, Any, Any]]:
    """Mean fields for every clip, each with the exact V, V' or V'' and the size that V sets."""
    q = REFERENCE_VARIANCE
    sides = 2 if activation.odd else 1
    for m in CLIPS if activation.clipped else (None,):
        phi = activation(tau) if m is None else activation(tau, m)
        exact = reference.expectation(quantity, tau, m, sides, q)
        size = reference.expectation("V", tau, m, sides, q) / q ** quantity.count("'")
        yield st.MeanField(phi, 1.0, 0.0), exact, size
