"""Where a function jumps, and where panels of quadrature must end to see what it does.

The rise of phi over a panel is the integral of phi'. Where 16 nodes do not give that, the panel
holds something that they miss. Panels that start at zero and at the kinks, twice as long each time,
tell where more are needed; those next to these points are halved until all is seen. What is not
seen between neighbouring doubles is a jump.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._types import Array
from ..numerics.quadrature import FARTHEST, NODES, WEIGHTS
from .derivative import Elementwise
from .jumps import Jumps

# A panel is seen if the integral of phi' gives the rise to this part of the size of both.
_SEEN = 1e-9
# Panels from zero end at two to these powers; those from a kink are no shorter than its size times
# the last.
_SHORTEST, _LONGEST, _RESOLUTION = -300, 510, -44
# Panels are halved up to so many at once.
_MOST_PANELS = 2**15
# Changes below this part of the size of phi at 1, or the largest kink, are rounding.
_ROUNDING = 1e-4
# More ends than this are left for the quadrature to find: the function oscillates.
_MOST_ENDS = 200
# Points around a kink, in its size, and the least jump, in the size of phi at these points.
_AROUND, _LEAST_JUMP = (-1e-8, 1e-8, -1e-4, 1e-4, -0.5, 0.5), 1e-10


@dataclass(frozen=True)
class Features:
    """What quadrature has to know of a function.

    Attributes:
        jumps: whether listed as kinks or not.
        searched: whether these are all jumps within the reach. Not so for a function that changes
            too often there, or whose derivative is not right to a billionth.
        marks: points where panels should end, shape (n,).
    """

    jumps: Jumps
    searched: bool
    marks: Array

    def marks_for(self, root: Array) -> Array:
        """The marks that matter for variables of these standard deviations."""
        return np.asarray(self.marks[np.abs(self.marks) < FARTHEST * np.max(root, initial=0.0)])


@dataclass(frozen=True)
class _Panels:
    """Panels from ``start`` to ``end``, either of which may be the larger."""

    start: Array
    end: Array

    def __getitem__(self, chosen: NDArray[np.bool_]) -> _Panels:
        return _Panels(self.start[chosen], self.end[chosen])

    def middles(self) -> Array:
        """Half way from start to end."""
        return self.start + 0.5 * (self.end - self.start)

    def halves(self) -> _Panels:
        """All first halves, then all second halves."""
        middle = self.middles()
        return _Panels(np.append(self.start, middle), np.append(middle, self.end))


def find_features(
    function: Elementwise, derivative: Elementwise, kinks: Array, reach: float
) -> Features:
    """Look at a function everywhere within the reach, and ever more coarsely beyond.

    A feature that is narrow and leaves no rise behind is seen only at zero and the kinks.

    Args:
        function: phi, elementwise.
        derivative: phi', likewise.
        kinks: ascending.
        reach: the size up to which jumps are looked for.
    """
    centres = np.union1d(kinks, 0.0)
    whole, shells = _geometric(centres)
    with np.errstate(all="ignore"):
        scale = max(1.0, float(np.abs(centres).max()))
        rounding = _ROUNDING * float(np.nanmax(np.abs(function(np.array([-scale, scale])))))
        unseen = ~_is_seen(*_errors(function, derivative, whole), rounding)
        marks = shells.start[unseen]  # half way to the end
        within = shells[np.abs(shells.end) <= reach]
        found, ends, searched = _halve(function, derivative, within, rounding)
        jumps = Jumps.joined([_jumps_at(function, centres), *found])
    return Features(jumps, searched, np.append(marks, ends))


def _is_seen(error: Array, size: Array, rounding: float) -> NDArray[np.bool_]:
    return np.asarray(error <= _SEEN * np.maximum(size, rounding))


def _geometric(centres: Array) -> tuple[_Panels, _Panels]:
    """From every centre both ways: panels twice as long each time, and their farther halves.

    They reach half way to the next centre. The farther half of the shortest is all of it.
    """
    whole, shells = [], []
    gaps = np.diff(np.concatenate([[-np.inf], centres, [np.inf]]))
    for centre, below, above in zip(centres, gaps[:-1], gaps[1:], strict=True):
        for side, gap in ((-1.0, below), (1.0, above)):
            reach = min(0.5 * gap, 2.0**_LONGEST)
            shortest = 2.0**_SHORTEST if centre == 0.0 else abs(centre) * 2.0**_RESOLUTION
            count = max(int(np.ceil(np.log2(reach / shortest))), 0)
            lengths = reach * 0.5 ** np.arange(count, -1.0, -1.0)
            ends = centre + side * lengths
            start = np.nextafter(centre, side * np.inf)
            whole.append(_Panels(np.full(ends.shape, start), ends))
            shells.append(_Panels(np.append(start, ends[:-1]), ends))
    return _joined(whole), _joined(shells)


def _joined(panels: list[_Panels]) -> _Panels:
    return _Panels(
        np.concatenate([each.start for each in panels]),
        np.concatenate([each.end for each in panels]),
    )


def _errors(function: Elementwise, derivative: Elementwise, panels: _Panels) -> tuple[Array, Array]:
    """How far the integral of phi' is from the rise of phi, and the size of both."""
    width = panels.end - panels.start
    slopes = derivative(panels.start[:, None] + width[:, None] * NODES) * width[:, None] * WEIGHTS
    before, after = function(panels.start), function(panels.end)
    size = np.maximum(np.abs(slopes).sum(axis=1), np.maximum(np.abs(before), np.abs(after)))
    return np.abs(after - before - slopes.sum(axis=1)), size


def _halve(
    function: Elementwise, derivative: Elementwise, panels: _Panels, rounding: float
) -> tuple[list[Jumps], Array, bool]:
    """Halve the panels until all are seen, relative to the size of phi on those given.

    Returns:
        The jumps found, the ends of panels (none if they are too many), and whether nothing is
        left unseen.
    """
    jumps, ends = [], [np.zeros(0)]
    error, size = _errors(function, derivative, panels)
    while True:
        unseen = ~_is_seen(error, size, rounding)
        panels, size = panels[unseen], size[unseen]
        if len(size) > _MOST_PANELS:
            break
        middle = panels.middles()
        tight = (middle == panels.start) | (middle == panels.end)
        jumps.append(_between(function, panels[tight]))
        panels, size = panels[~tight], size[~tight]
        if len(size) == 0:
            break
        ends.append(middle[~tight])
        panels, size = panels.halves(), np.append(size, size)
        error, _ = _errors(function, derivative, panels)
    every = np.concatenate(ends)
    return jumps, every if len(every) <= _MOST_ENDS else every[:0], len(size) == 0


def _between(function: Elementwise, panels: _Panels) -> Jumps:
    """The jumps from one double to the next."""
    below, above = np.minimum(panels.start, panels.end), np.maximum(panels.start, panels.end)
    return Jumps(above, function(below), function(above))


def _jumps_at(function: Elementwise, points: Array) -> Jumps:
    """The points, ascending, where phi has different limits from both sides.

    The step between the neighbouring doubles is compared with that between points 1e-8 of the
    point's size, or of the gap to the next one, apart.
    """
    gaps = np.diff(np.concatenate([[-np.inf], points, [np.inf]]))
    size = np.where(points == 0.0, 1.0, np.abs(points))
    size = np.minimum(size, np.minimum(gaps[1:], gaps[:-1]))
    below = function(np.nextafter(points, -np.inf))
    above = function(np.nextafter(points, np.inf))
    around = np.stack([function(points + share * size) for share in _AROUND])
    step, wider = np.abs(above - below), np.abs(around[1] - around[0])
    jump = (step > 0.5 * wider) & (step > _LEAST_JUMP * np.max(np.abs(around), axis=0))
    return Jumps(points[jump], below[jump], above[jump])
