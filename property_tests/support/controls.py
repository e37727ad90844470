"""Ways to be wrong: each takes a right formula and gives a wrong one, for negative controls.

A test names its control, and ``meta/test_controls.py`` sees that it fails with the wrong formula::

    @pytest.mark.control("Eq. 13", replace="property_tests.references.paper.eq_13", by=doubled)

``replace`` is the formula by its full name, or by its name in the file of the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparsity_theory import MeanField

Formula = Callable[..., Any]
Wrong = Callable[[Any], Any]


def doubled(right: Formula) -> Formula:
    """A factor two."""
    return lambda *args, **kwargs: 2 * right(*args, **kwargs)


def shifted(right: Formula) -> Formula:
    """A thousandth too much."""
    return lambda *args, **kwargs: right(*args, **kwargs) + 1e-3


def opposite(right: Formula) -> Formula:
    """The other sign."""
    return lambda *args, **kwargs: -right(*args, **kwargs)


def complement(right: Formula) -> Formula:
    """The other tail."""
    return lambda *args, **kwargs: 1 - right(*args, **kwargs)


def each_doubled(right: Formula) -> Formula:
    """A factor two in every entry of what comes back."""
    return lambda *args: [2 * part for part in right(*args)]


def form_doubled(right: Any) -> Any:
    """A factor two in a form."""
    return right + right


def weights_times(factor: float) -> Wrong:
    """Another sigma_w^2 with the same sigma_b^2, as after a factor two or a root too many."""

    def wrong(right: Formula) -> Formula:
        def network(*args: Any, **kwargs: Any) -> Any:
            net = right(*args, **kwargs)
            if isinstance(net, MeanField):
                return MeanField(net.activation, factor * net.sigma_w2, net.sigma_b2, net.q_star)
            return type(net)(net.kind, net.tau, net.m, factor * net.sigma_w2, net.sigma_b2)

        return network

    return wrong


def threshold_moved(right: Formula) -> Formula:
    """Another tau."""
    return lambda tau: right(1.1 * tau + 0.1)


def falling(right: Formula) -> Formula:
    """A quantile that falls."""
    return lambda p: right(1.5 - p)


def one_layer_more(right: Formula) -> Formula:
    """The depth off by one."""
    return lambda net, depth, orthogonal=False: right(net, depth + 1, orthogonal)


def always_gaussian(right: Formula) -> Formula:
    """Orthogonal weights taken for Gaussian ones."""
    return lambda net, depth, orthogonal=False: right(net, depth)


def spread_inverted(right: Formula) -> Formula:
    """mu_1^2 / mu_2 for mu_2 / mu_1^2, as it were."""

    def moments(*args: Any) -> Any:
        correct = right(*args)
        return correct._replace(variance=1 / correct.variance)

    return moments


def linear(right: Formula) -> Formula:
    """A forward pass that forgets phi."""

    def forward(network: Any, x: Any) -> Any:
        hs, _ = right(network, x)
        return hs, [x, *hs]

    return forward


def rows_moved(right: Formula) -> Formula:
    """tau and m a hundredth too large."""
    return lambda row: [part if part is None else part + 0.01 for part in right(row)]


def unchecked(right: Formula) -> Formula:
    """An argument taken as it is."""
    return lambda name, value: value


def imports_torch(right: Formula) -> Formula:
    """A room that imports what stands above it."""
    return lambda room: right(room) | {"torch_models"}
