"""What it costs to solve for an initialization, and to forecast how finite networks behave."""

from __future__ import annotations

from typing import Any

import numpy as np

import sparsity_theory as st
from asv_bench.initializations import KINDS, SPARSITY, initialization
from asv_bench.labels import labelled


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

    @labelled("tau, m, sigma_w^2 and sigma_b^2 of one row")
    def time_row(self, kind: str) -> None:
        wanted = {"slope": 0.7} if self.activation.clipped else {}
        st.edge_of_chaos(self.activation.for_sparsity(SPARSITY, **wanted), q_star=1.0)

    @labelled("fixed points of one variance map")
    def time_fixed_points(self, kind: str) -> None:
        st.fixed_points(self.net)


class Clips:
    """The largest clip without further fixed points, and the largest stable one at finite width."""

    params = ("crelu", "cst")
    param_names = ("kind",)

    @labelled("clip at which new fixed points appear")
    def time_bifurcation(self, kind: str) -> None:
        activation: Any = st.ACTIVATIONS[kind]
        st.bifurcation(activation, SPARSITY)

    @labelled("largest stable clip: 100 networks, width 300, depth 100")
    def time_largest_stable_clip(self, kind: str) -> None:
        st.largest_stable_clip(kind, SPARSITY, networks=100)


class Forecast:
    """The finite-width law of the paper's example, at the default size."""

    def setup(self) -> None:
        self.net = initialization("crelu")

    @labelled("forecast of 1000 networks, width 300, depth 100")
    def time_forecast(self) -> None:
        st.forecast(self.net)


class BeyondThePaper:
    """Residual networks of 50 layers, and the whole spectrum of one of 20 without skips."""

    def setup(self) -> None:
        self.edge = initialization("crelu")
        self.residual = st.Residual(self.edge, alpha=50**-0.5)
        self.pre_norm = st.PreNorm(self.edge.activation, alpha=50**-0.5)

    @labelled("exact law of 20 residual networks, width 100, depth 50")
    def time_draw_residual(self) -> None:
        st.draw_residual(self.residual, 100, 50, 20, seed=0)

    @labelled("exact law of 100 pre-norm networks, width 100, depth 50")
    def time_draw_pre_norm(self) -> None:
        st.draw_pre_norm(self.pre_norm, 100, 50, 100, seed=0)

    @labelled("limiting spectrum of J J^T: its density at 100 points")
    def time_jacobian_density(self) -> None:
        spectrum = st.jacobian_density(self.edge, 20)
        low, high = spectrum.edges
        spectrum(np.linspace(low, high, 102)[1:-1])
