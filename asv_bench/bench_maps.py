"""What the variance map and the correlation map cost at many points."""

from __future__ import annotations

import numpy as np

from asv_bench.initializations import KINDS, initialization
from asv_bench.labels import labelled

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
