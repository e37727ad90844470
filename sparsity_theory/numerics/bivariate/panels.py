"""Integrals of K over a range of correlations that ends at a given one, the edge.

In u the kernel is smooth, but it may change over many scales: it runs from the smallest distance
between kinks up to 1. Gauss-Legendre panels, geometric above that distance, converge to rounding;
a range ends where K has fallen by exp(-FOLDS).

Many points of one line share a grid of edges: each integrates to the next grid edge only, and adds
what lies beyond it. Nothing is subtracted, so sharing loses nothing. Very many points take what
lies before that edge from an interpolant in their cell of the grid (`cells`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._types import Array
from ..legendre import gauss_legendre
from .cells import Factor, Sums, interpolated
from .kernel import TINY, Base, Kernel, Nodes, Term, terms_of
from .line import Index
from .pieces import Pieces

Weight = Callable[[Nodes], Array]
Limit = Callable[[Array], Array]

FOLDS = 40.0
"""exp(-FOLDS) of a range's peak is below rounding."""

_RATIO = 2.0  # widest panel, right over left, that the last rule integrates to rounding
_BLOCK = 10240  # nodes evaluated at once, so that temporary arrays stay in the cache
_GRID_RATIO = 1.12  # of neighbours on a shared grid: the first rule suffices for most panels
_SHARED = 512  # points of one line from which a shared grid pays
_INTERPOLATED = 8192  # points from which interpolants pay
_FIRST_CELLS = 8  # of the grid, below the least distance of kinks

_NO_PANEL, _NOTHING = np.zeros(0, dtype=np.intp), np.zeros(0)


# Rules, and the largest ratio and range of exponents of a panel for all but the last of them.
_RULES = [tuple(v[:, None] for v in gauss_legendre(n)) for n in (7, 10, 14, 22)]
_LIMITS = ((1.13, 1.2), (1.5, 4.0), (2.2, 9.0))


def unit(x: Nodes) -> Array:
    """The weight 1."""
    return np.ones(())


def distance(x: Nodes) -> Array:
    """The weight |t - r|, r at the edge."""
    return x.away * (x.u + x.edge) / x.up * (2 / (1 + x.edge * x.edge))


def below_one(x: Nodes) -> Array:
    """The weight 1 - t."""
    return 2 * x.u2 / x.up


# The integral of the weight without its denominators between x and its end: what is left is smooth.
_FACTORS: dict[Weight, Factor] = {
    unit: lambda x, end: np.abs(x - end),
    distance: lambda x, end: (x - end) ** 2 * (2 * x + end),
    below_one: lambda x, end: np.abs(x - end) * (x * x + x * end + end * end),
}


def edge_of(r: Array) -> Array:
    """The u at which t = r, for 0 <= r <= 1."""
    return np.sqrt((1 - r) / (1 + r))


@dataclass(frozen=True)
class Integrals:
    """What is integrated: K dt over a base's factor, or K(-t) dt if ``mirrored``."""

    pieces: Pieces
    feature: Array
    """The least distance of two kinks, in u; (b,)."""
    base: Base
    mirrored: bool = False

    @cached_property
    def _terms(self) -> list[Term]:
        return terms_of(self.pieces)

    def above(self, edge: Array, limit: Limit, weight: Weight) -> Sums:
        """Over u from the edge up to ``limit(edge)``, at most 1."""

        def clip(start: Array, stop: Array) -> Array:
            return np.maximum(start, np.minimum(stop, limit(start)))

        if not self._shares(edge):
            return self._span(edge, clip(edge, np.ones(())), weight)
        return self._along(self._grid(edge)[::-1], edge, clip, weight)

    def below(self, edge: Array, limit: Limit, weight: Weight) -> Sums:
        """Over u from the edge down to ``limit(edge)``, at least 0."""

        def clip(start: Array, stop: Array) -> Array:
            return np.minimum(start, np.maximum(stop, limit(start)))

        if not self._shares(edge):
            return self._span(edge, clip(edge, np.zeros(())), weight)
        return self._along(self._grid(edge), edge, clip, weight)

    # -- many points of one line

    def _shares(self, edge: Array) -> bool:
        return self.pieces.scale.size == 1 and edge.size >= _SHARED

    def _grid(self, edge: Array) -> Array:
        """Ascending from 0 to 1, geometric from the first point or the least distance of kinks."""
        least = edge.min(where=edge > 0, initial=1.0)
        first = float(np.clip(self.feature[0], least, 1.0))
        count = max(int(np.ceil(np.log(1 / first) / np.log(_GRID_RATIO))), 1)
        near = np.linspace(0.0, first, _FIRST_CELLS, endpoint=False)
        return np.append(near, first ** (np.arange(count, -1, -1) / count))

    def _along(
        self, grid: Array, edge: Array, clip: Callable[[Array, Array], Array], weight: Weight
    ) -> Sums:
        """From every edge to the next one of the grid, and from there on to ``grid[0]``."""
        sign = np.sign(grid[-1] - grid[0])
        following = np.searchsorted(sign * grid, sign * edge, "right") - 1
        following = np.minimum(following, grid.size - 2)
        weights = (weight, unit) if weight is distance else (weight,)
        starts, stops = grid[1:], clip(grid[1:], grid[:-1])
        panels = [self._span(starts, stops, each) for each in weights]
        carry, lever = self._carry(starts, grid[:-1]), _apart(starts, grid[:-1])
        beyond = np.zeros((len(weights), 2, grid.size))
        for i in range(1, grid.size):
            moved = beyond[:, :, i - 1].copy()
            moved[0] += lever[i - 1] * moved[1:].sum(axis=0)
            beyond[:, :, i] = [panel[:, i - 1] for panel in panels] + carry[i - 1] * moved
        stop = grid[following]
        rest = beyond[0][:, following] + _apart(edge, stop) * beyond[1:, :, following].sum(axis=0)
        near = self._near(grid, following, edge, clip, weight)
        return np.asarray(near + self._carry(edge, stop) * rest)

    def _near(
        self,
        grid: Array,
        following: Index,
        edge: Array,
        clip: Callable[[Array, Array], Array],
        weight: Weight,
    ) -> Sums:
        """From every edge to ``grid[following]``."""

        def exact(start: Array, stop: Array) -> Sums:
            return self._span(start, clip(start, stop), weight)

        if edge.size < _INTERPOLATED:
            return exact(edge, grid[following])
        return interpolated(exact, _FACTORS[weight], grid, following, edge)

    def _carry(self, edge: Array, stop: Array) -> Array:
        """An integral at ``stop`` is taken over the level there, not over that at the edge."""
        return np.exp(self.base.change(edge, stop, self.pieces.scale))

    # -- panel by panel

    def _span(self, edge: Array, end: Array, weight: Weight) -> Sums:
        """Over u between ``edge`` and ``end``, tiled for every point."""
        if not self._terms:
            return np.zeros((2, edge.size))
        low, high = np.minimum(edge, end), np.maximum(edge, end)
        owners, signed, absolute = [_NO_PANEL], [_NOTHING], [_NOTHING]
        for (x, rest, weights), owner, left, right in self._panels(low, high):
            e, length = edge[owner], right - left
            away = (left - e) + length * x if left[0] >= e[0] else (e - right) + length * rest
            nodes = Nodes(left + length * x, away, e)
            k = Kernel(self.pieces.take(owner), nodes, self.base, self.mirrored).sum(self._terms)
            k *= weights
            if weight is not unit:
                k *= weight(nodes)
            owners.append(owner)
            signed.append(k.sum(axis=0) * length)
            absolute.append(np.abs(k, out=k).sum(axis=0) * length)
        panels = np.concatenate(owners)
        return np.stack(
            [np.bincount(panels, np.concatenate(v), edge.size) for v in (signed, absolute)]
        )

    def _panels(
        self, low: Array, high: Array
    ) -> Iterator[tuple[tuple[Array, ...], Index, Array, Array]]:
        """Blocks (rule, point, left, right) of panels that tile each [low, high].

        One panel below ``feature``, geometric ones above; the rule suits the panel's exponents.
        """
        low, high, feature = np.broadcast_arrays(low, high, self.feature)
        below = (low < feature / 2).astype(np.intp)
        start = np.minimum(np.where(below, feature, low), high)
        span = np.where((start > 0) & (high > start), high / np.where(start > 0, start, 1.0), 1.0)
        tiers = np.ceil(np.log(span) / np.log(_RATIO)).astype(np.intp)
        count = np.where(high > low, below + tiers, 0)
        owner = np.repeat(np.arange(low.size), count)
        tier = np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count) - below[owner]
        s, h, ratio = start[owner], high[owner], (span ** (1.0 / np.maximum(tiers, 1)))[owner]
        left = np.where(tier < 0, low[owner], np.where(tier == 0, s, s * ratio**tier))
        last = tier == tiers[owner] - 1
        right = np.where(tier < 0, s, np.where(last, h, s * ratio ** (tier + 1)))
        grade = self._grade(left, right, owner)
        for g, rule in enumerate(_RULES):
            chosen = np.nonzero(grade == g)[0]
            size = _BLOCK // len(rule[0])
            for first in range(0, chosen.size, size):
                block = chosen[first : first + size]
                yield rule, owner[block], left[block], right[block]

    def _grade(self, left: Array, right: Array, owner: Index) -> Index:
        """Which rule a panel needs: the widest has the last one."""
        farthest, scale = np.abs(self.pieces.kinks).max(axis=0), self.pieces.scale
        direct = np.minimum(farthest**2, scale**2 + 2 * FOLDS)
        if scale.size > 1:
            farthest, scale, direct = farthest[owner], scale[owner], direct[owner]
        left2, right2 = np.maximum(left * left, TINY), right * right
        opposite = np.minimum(farthest**2 / 2, scale**2 / 2 + FOLDS * right2)
        folds = direct * (right2 - left2) + opposite * (1 / left2 - 1 / np.maximum(right2, TINY))
        grade = np.full(owner.shape, len(_LIMITS))
        for g, (ratio, run) in reversed(list(enumerate(_LIMITS))):
            grade[(right <= ratio * left) & (folds <= run)] = g
        return grade


def _apart(e: Array, f: Array) -> Array:
    """The distance in t of two edges."""
    return 2 * np.abs(e - f) * (e + f) / ((1 + e * e) * (1 + f * f))
