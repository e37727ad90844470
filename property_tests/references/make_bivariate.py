"""Write ``bivariate.json``, beside this file: E phi phi, E phi' phi' and the gap, in 60 digits.

Run: ``python -m property_tests.references.make_bivariate`` (minutes).

Every value is an expansion of C(rho) = E[phi(z1) phi(z2)] about rho = 1, 0 or -1, with Plackett's
integral over the correlation as its remainder, kink by kink, in so many digits that what cancels
between kinks does not matter. The integrals are adaptive: a panel is halved until its halves agree
with it. Nothing is shared with ``sparsity_theory``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpmath as mp

OUT = Path(__file__).with_name("bivariate.json")
DIGITS = 60
AGREE = mp.mpf(10) ** -22  # of a panel and its halves, relative to the integral

Number = Any
Shape = dict[str, Any]


def density(x: Number) -> Number:
    """The standard normal density."""
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def tail(x: Number) -> Number:
    """The upper tail of the standard normal distribution."""
    return mp.erfc(x / mp.sqrt(2)) / 2


@cache
def legendre(n: int = 24) -> list[tuple[Number, Number]]:
    """Nodes and weights on [0, 1]."""
    nodes = mp.polyroots(
        mp.taylor(lambda x: mp.legendre(n, x), 0, n)[::-1], maxsteps=500, extraprec=400
    )

    def slope(x: Number) -> Number:
        return n * (x * mp.legendre(n, x) - mp.legendre(n - 1, x)) / (x * x - 1)

    return [((1 + x) / 2, 1 / ((1 - x * x) * slope(x) ** 2)) for x in map(mp.re, nodes)]


def integral(f: Callable[[Number], Number], low: Number, high: Number, first: Number) -> Number:
    """The integral of f, on panels that are geometric above ``first`` and halved where needed."""

    def rule(a: Number, b: Number) -> Number:
        return (b - a) * mp.fsum(w * f(a + (b - a) * x) for x, w in legendre())

    cuts = [low]
    following = max(low, first)
    while following < high:
        cuts += [following] if following > low else []
        following *= 4
    cuts.append(high)
    stack = [(a, b, rule(a, b)) for a, b in pairwise(cuts)]
    size = mp.fsum(abs(whole) for _, _, whole in stack)
    total = mp.mpf(0)
    while stack:
        a, b, whole = stack.pop()
        middle = (a + b) / 2
        halves = (a, middle, rule(a, middle)), (middle, b, rule(middle, b))
        both = halves[0][2] + halves[1][2]
        size = max(size, abs(both), abs(total))
        if abs(both - whole) <= AGREE * size:
            total += both
        else:
            stack += halves
    return total


class Reference:
    """A piecewise-linear phi with exact kinks, slopes and value at the first kink."""

    def __init__(self, knots: list[Number], slopes: list[float], offset: Number) -> None:
        self.knots, self.slopes = [mp.mpf(k) for k in knots], [mp.mpf(s) for s in slopes]
        self.jumps = [b - a for a, b in pairwise(self.slopes)]
        first, rise = self.knots[0], self.slopes[0]
        bends = list(zip(self.jumps, self.knots, strict=True))
        self.mean = (
            offset - rise * first + mp.fsum(d * (density(k) - k * tail(k)) for d, k in bends)
        )
        self.gain = rise + mp.fsum(d * tail(k) for d, k in bends)
        self.slope_at_one = self.value_at_one = mp.mpf(0)
        intercept = offset - rise * first
        ends = [-mp.inf, *self.knots, mp.inf]
        for i, s in enumerate(self.slopes):
            if i:
                intercept -= self.jumps[i - 1] * self.knots[i - 1]
            a, b = ends[i], ends[i + 1]
            mass = tail(a) - tail(b)
            edge = (a * density(a) if i else 0) - (b * density(b) if b < mp.inf else 0)
            self.slope_at_one += s * s * mass
            self.value_at_one += (
                s * s * (mass + edge)
                + 2 * s * intercept * (density(a) - density(b))
                + intercept**2 * mass
            )
        self.zero_on_the_left = min(self.knots) >= 0 and slopes[0] == 0 and offset == 0
        pairs: dict[tuple[Number, Number], Number] = {}
        for d, x in bends:
            for e, y in bends:
                key = abs(x + y) / 2, abs(x - y) / 2
                pairs[key] = pairs.get(key, 0) + d * e
        self.pairs = [(c, d, w) for (c, d), w in pairs.items() if w]
        lengths = [v for c, d, _ in self.pairs for v in (c, d) if v] or [mp.mpf(1)]
        self.first = min(min(lengths) / 20, mp.mpf("0.05"))

    def kernel(self, u: Number, mirrored: bool) -> Number:
        """K |dt / du| at t = (1 - u^2) / (1 + u^2), or K(-t)."""
        u2 = u * u
        total = mp.mpf(0)
        for c, d, weight in self.pairs:
            near, far = (d, c) if mirrored else (c, d)
            total += weight * mp.exp(-(near**2 * (1 + u2) + far**2 * (1 + 1 / u2)) / 2)
        return total / (mp.pi * (1 + u2))

    def remainder(
        self, low: Number, high: Number, r: Number, mirrored: bool
    ) -> tuple[Number, Number]:
        """The integrals of K and of |t - r| K over u in [low, high]."""
        if low == high:
            return mp.mpf(0), mp.mpf(0)

        def kernel(u: Number) -> Number:
            return self.kernel(u, mirrored)

        def levered(u: Number) -> Number:
            return kernel(u) * abs((1 - u * u) / (1 + u * u) - r)

        plain, lever = (integral(f, low, high, self.first) for f in (kernel, levered))
        return plain, lever

    def at(self, minus: Number) -> tuple[Number, Number, Number]:
        """(P, C, G) at rho = 1 - minus."""
        plus = 2 - minus
        rho = 1 - minus
        if minus < mp.mpf("1e-3"):
            u = mp.sqrt(minus / plus)
            plain, lever = self.remainder(mp.mpf(0), u, rho, mirrored=False)
            gap = minus * self.slope_at_one - lever
            return self.slope_at_one - plain, self.value_at_one - gap, gap
        if rho < 0 and self.zero_on_the_left:  # then C and P are 0 at -1
            plain, lever = self.remainder(mp.mpf(0), mp.sqrt(plus / minus), -rho, mirrored=True)
            return plain, lever, self.value_at_one - lever
        u = mp.sqrt(min(minus, plus) / max(minus, plus))
        plain, lever = self.remainder(u, mp.mpf(1), abs(rho), mirrored=rho < 0)
        slope = self.gain**2 + (plain if rho >= 0 else -plain)
        value = self.mean**2 + rho * self.gain**2 + lever
        return slope, value, self.value_at_one - value


def of_kind(kind: str, a: float, w: float | None) -> Reference:
    """One of the paper's four, kinks exactly at a and a + w."""
    near: Number = mp.mpf(a)
    far: Number = None if w is None else near + mp.mpf(w)
    if kind == "relu":
        return Reference([near], [0, 1], 0)
    if kind == "st":
        return Reference([-near, near], [1, 0, 1], 0)
    if kind == "crelu":
        return Reference([near, far], [0, 1, 0], 0)
    return Reference([-far, -near, near, far], [0, 1, 0, 1, 0], -mp.mpf(w))


KINDS = [
    ("relu", 0.0, None),
    ("relu", 1.0, None),
    ("relu", -2.0, None),
    ("relu", 30.0, None),
    ("st", 0.7, None),
    ("st", 28.0, None),
    ("crelu", 1.0364, 1.1704),
    ("crelu", 0.0, 1.0),
    ("crelu", -0.7, 1.5),
    ("crelu", 7.692900904055342, 1e-6),
    ("crelu", 30.0, 1.0),
    ("crelu", 2.0, 1e6),
    ("crelu", 0.5, 1e-6),
    ("crelu", 1e-3, 1e-6),
    ("cst", 1.44, 1.2),
    ("cst", 0.0, 1e-3),
    ("cst", 20.0, 1e-4),
    ("cst", 3.0, 1e6),
]
CORRELATIONS = [1 - 2.0**-53, -0.7559114150768581, 0.5, -0.999, 1 - 1e-8, -0.3, 0.95, -1 + 1e-6]
GAPS = [1e-300, 1e-12, 0.4, 1.3, 1e-3, 2.0, 1e-40, 1 - 1e-9]


def random_line(rng: random.Random, pieces: int) -> tuple[list[float], list[float], float]:
    """Knots, slopes and offset."""
    knots = sorted(rng.uniform(-4, 4) for _ in range(pieces - 1))
    return (
        knots,
        [rng.choice([0.0, 1.0, rng.uniform(-2, 2)]) for _ in range(pieces)],
        rng.uniform(-1, 1),
    )


def lines() -> list[tuple[list[float], list[float], float]]:
    """Other activations."""
    rng = random.Random(20)
    named = [
        ([0.0], [0.01, 1.0], 0.0),  # leaky ReLU
        ([-1.0, 1.0], [0.0, 1.0, 0.0], -1.0),  # HardTanh
        ([0.0], [1.0, 1.0], 0.0),  # the identity
        ([0.0], [-1.0, 1.0], 0.0),  # |x|
    ]
    return named + [random_line(rng, pieces) for pieces in (2, 3, 5, 9, 16)]


def records(shape: Shape, reference: Reference, start: int) -> list[Shape]:
    """Three correlations and two gaps of one line."""
    found = []
    for i in range(3):
        rho = CORRELATIONS[(start + 3 * i) % len(CORRELATIONS)]
        slope, value, _ = reference.at(1 - mp.mpf(rho))
        found.append(
            {**shape, "rho": rho, "slope": mp.nstr(slope, 20), "value": mp.nstr(value, 20)}
        )
    for i in range(2):
        gap = GAPS[(start + 3 * i) % len(GAPS)]
        found.append({**shape, "gap": gap, "value": mp.nstr(reference.at(mp.mpf(gap))[2], 20)})
    return found


def main() -> None:
    """Write them all."""
    mp.mp.dps = DIGITS
    found = []
    for i, (kind, a, w) in enumerate(KINDS):
        with mp.workdps(DIGITS + int(a * a / 2 if a > 3 else 0)):  # the means cancel far out
            reference = of_kind(kind, a, w)
        found += records({"kind": kind, "tau": a, "m": w}, reference, i)
    for i, (knots, slopes, offset) in enumerate(lines()):
        reference = Reference(knots, slopes, offset)
        scale = {
            "slope_scale": mp.nstr(reference.slope_at_one, 20),
            "value_scale": mp.nstr(reference.value_at_one, 20),
        }
        shape = {"knots": knots, "slopes": slopes, "offset": offset}
        found += records({**shape, **scale}, reference, i)
    OUT.write_text("[\n" + ",\n".join(json.dumps(each) for each in found) + "\n]\n")


if __name__ == "__main__":
    main()
