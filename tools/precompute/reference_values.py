"""Write asv_bench/reference_values.json, against which asv tracks the errors of the theory.

Run: ``python tools/precompute/reference_values.py`` (a minute).

Everything comes from the references of the tests, which share no code with ``sparsity_theory``:
expectations, roots and fixed points from the definitions in high precision, correlations from the
recorded table. Twenty digits each; a value that is zero to sixty digits is written as zero.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from property_tests.references import definitions
from property_tests.references.definitions import Function, Number, mp

OUT = Path(__file__).parents[2] / "asv_bench" / "reference_values.json"
CORRELATIONS = Path(definitions.__file__).with_name("bivariate.json")

VARIANCE = 0.75
"""q of the expectations, q* of the designs."""

UNCLIPPED, CLIPPED = ("relu", "st"), ("crelu", "cst")
THRESHOLDS = (0.0, 1.0364, 5.0, 30.0)  # tau: none to far in the tail
CLIPS = (1e-6, 1.1704, 1e6)  # m: thin pieces to clips that hardly ever act
SPARSITIES = (0.51, 0.85, 1 - 1e-9)
SLOPES = (0.05, 0.7, 1 - 1e-6)
SPARSITY_OF_NETS, SLOPES_OF_NETS = 0.85, (0.5, 0.7, 0.9)  # CST at 0.9 has three fixed points

Row = dict[str, Any]


def expectations() -> Iterator[Row]:
    """V, V', V'' and chi at sigma_w^2 = 1, and sigma_b^2 on the edge of chaos, at ``VARIANCE``."""
    cases = [*product(UNCLIPPED, THRESHOLDS, [None]), *product(CLIPPED, THRESHOLDS, CLIPS)]
    for kind, tau, m in cases:
        phi = definitions.of_kind(kind, tau, m)
        v, chi = phi.mean_square(VARIANCE), phi.mean_square_derivative(VARIANCE)
        yield {
            "kind": kind,
            "tau": tau,
            "m": m,
            "q": VARIANCE,
            "V": digits(v),
            "V'": digits(phi.mean_square_slope(VARIANCE), v),
            "V''": digits(phi.mean_square_curvature(VARIANCE), v),
            "chi": digits(chi),
            "sigma_b^2": digits(VARIANCE - v / chi, VARIANCE),
        }


def designs() -> Iterator[Row]:
    """tau for a sparsity (Eqs. 57, 58), and m for V'(q*) on the edge of chaos at q* = q."""
    cases = [*product(UNCLIPPED, SPARSITIES, [None]), *product(CLIPPED, SPARSITIES, SLOPES)]
    for kind, s, slope in cases:
        tau = threshold(kind, s, VARIANCE)
        row = {"kind": kind, "q": VARIANCE, "s": s, "slope": slope, "tau": digits(tau)}
        if slope is not None:
            row["m"] = digits(clip(kind, tau, slope, VARIANCE))
        yield row


def fixed_points() -> Iterator[Row]:
    """All fixed points of variance maps whose parameters are floats, near the edge of chaos."""
    for kind, slope in product(CLIPPED, SLOPES_OF_NETS):
        exact_tau = threshold(kind, SPARSITY_OF_NETS, 1)
        tau, m = float(exact_tau), float(clip(kind, exact_tau, slope, 1))
        phi = definitions.of_kind(kind, tau, m)
        sigma_w2 = float(1 / phi.mean_square_derivative(1))
        sigma_b2 = float(1 - sigma_w2 * phi.mean_square(1))
        net = {"kind": kind, "tau": tau, "m": m, "sigma_w2": sigma_w2, "sigma_b2": sigma_b2}
        for number, q in enumerate(roots(phi, mp.mpf(sigma_w2), mp.mpf(sigma_b2))):
            yield {**net, "number": number, "fixed point": digits(q)}


def correlations() -> Iterator[Row]:
    """R and R' at a correlation, and 1 - R at a gap, of each kind and place in the tests' table."""
    seen = set()
    for row in json.loads(CORRELATIONS.read_text(encoding="utf-8")):
        at = "gap" if "gap" in row else "rho"
        case = row.get("kind"), row.get("tau"), row.get("m"), at
        if "kind" in row and case not in seen:
            seen.add(case)
            values = (
                {"1 - R": row["value"]} if at == "gap" else {"R": row["value"], "R'": row["slope"]}
            )
            yield {"kind": row["kind"], "tau": row["tau"], "m": row["m"], at: row[at], **values}


def threshold(kind: str, s: float, q: Number) -> Number:
    """tau, with a share s of zeros at q."""
    two_sided = kind in ("st", "cst")
    return mp.sqrt(q) * definitions.normal_quantile((1 + mp.mpf(s)) / 2 if two_sided else s)


def clip(kind: str, tau: Number, slope: float, q: Number) -> Number:
    """m, with V'(q) = slope and chi(q) = 1; V' grows with m."""

    def excess(m: Number) -> Number:
        phi = definitions.of_kind(kind, tau, m)
        return phi.mean_square_slope(q) / phi.mean_square_derivative(q) - slope

    return root(excess, 1e-4, 20)


def roots(phi: Function, sigma_w2: Number, sigma_b2: Number) -> list[Number]:
    """Every q with sigma_w^2 V(q) + sigma_b^2 = q where the difference changes its sign."""

    def excess(q: Number) -> Number:
        return sigma_w2 * phi.mean_square(q) + sigma_b2 - q

    grid = [mp.mpf(1.05) ** k for k in range(-100, 101)]
    signs = [mp.sign(excess(q)) for q in grid]
    brackets = [
        pair for pair, (a, b) in zip(pairwise(grid), pairwise(signs), strict=True) if a != b
    ]
    return [root(excess, *bracket) for bracket in brackets]


def root(function: Callable[[Number], Number], low: Number, high: Number) -> Number:
    """The zero between two numbers at which the signs differ."""
    return mp.findroot(function, (low, high), solver="bisect", tol=mp.mpf(10) ** -40, maxsteps=200)


def digits(value: Number, size: Number = 0) -> str:
    """Twenty digits; "0" if the value is only what rounding leaves of terms of this size."""
    return "0" if abs(value) <= abs(size) * mp.mpf(10) ** -60 else str(mp.nstr(value, 20))


def main() -> None:
    """Write them all, a line for each row."""
    parts = ['"command": "python tools/precompute/reference_values.py"']
    with mp.workdps(100):
        for table in (expectations, designs, fixed_points, correlations):
            rows = ",\n".join(json.dumps(row) for row in table())
            parts.append(f'"{table.__name__}": [\n{rows}\n]')
    OUT.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
