"""What the variance map and the correlation map cost at many points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

import sparsity_theory as st
from asv_bench.initializations import KINDS, initialization
from asv_bench.labels import labelled
from asv_bench.timing import least_ratio
from sparsity_theory._types import Array, FloatLike

VARIANCES = np.geomspace(1e-2, 1e2, 1_000_000)
CORRELATIONS = np.linspace(-1.0, 1.0, 100_000)
GAPS = np.geomspace(1e-12, 2.0, 100_000)


class VarianceMap:
    """V, V', V'' and chi at 1e6 variances."""

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


MAPS: dict[str, Callable[[st.MeanField, FloatLike], Array]] = {
    "V": st.MeanField.variance_map,
    "V'": st.MeanField.variance_slope,
    "V''": st.MeanField.variance_curvature,
    "chi": st.MeanField.chi,
}


def arithmetic(net: st.MeanField, name: str) -> list[Array]:
    """What a map cannot do without at ``VARIANCES``, in plain NumPy and SciPy.

    The root, and for every kink k > 0 (the others mirror it) k / sqrt(q), its normal density and,
    but for V'', its normal tail.
    """
    root = np.sqrt(VARIANCES)
    found = [root]
    for kink in net.activation.kinks[net.activation.kinks > 0.0]:  # type: ignore[attr-defined]
        a = kink / root
        found += [a, np.exp(-0.5 * a * a)]
        if name != "V''":
            found.append(scipy.special.erfcx(np.sqrt(0.5) * a))
    return found


class OverArithmetic:
    """The time of V, V', V'' and chi at 1e6 variances over that of their arithmetic."""

    params = (KINDS, tuple(MAPS))
    param_names = ("kind", "map")

    def setup(self, kind: str, name: str) -> None:
        self.net = initialization(kind)

    @labelled("time of a map over that of its exponentials and tails", unit="ratio")
    def track_map_over_arithmetic(self, kind: str, name: str) -> float:
        return least_ratio(
            lambda: MAPS[name](self.net, VARIANCES), lambda: arithmetic(self.net, name)
        )


class SingleVariance:
    """V, V', V'' and chi at one variance: the calls of a solver."""

    params = (KINDS, tuple(MAPS))
    param_names = ("kind", "map")

    def setup(self, kind: str, name: str) -> None:
        self.net, self.map = initialization(kind), MAPS[name]
        self.map(self.net, 0.7)  # what an activation computes once

    @labelled("a map at one variance")
    def time_map(self, kind: str, name: str) -> None:
        self.map(self.net, 0.7)


class CorrelationMap:
    """R and R' at 1e5 correlations, 1 - R at 1e5 gaps."""

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
