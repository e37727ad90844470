"""The explorer of the documentation: its scripts, run by Node, against the theory."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

import sparsity_theory as st
from property_tests.references.definitions import mp
from property_tests.support.chance import implausible, plausible
from sparsity_theory.activations.thresholded import ACTIVATIONS
from sparsity_theory.finite_width import failure, forecast
from sparsity_theory.finite_width.layer_law import draw_layers
from sparsity_theory.finite_width.learnability import REFERENCE_GAP, learnability
from sparsity_theory.finite_width.variance_law import Chain

SCRIPTS = Path(__file__).parents[2] / "docs" / "_static" / "explorer"
FREE_OF_THE_PAGE = ("normal", "theory", "law", "forecast", "settings")
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="the scripts of the explorer need node")

Point = dict[str, Any]


def run(expression: str, given: object = None) -> Any:
    """What an expression gives, with the scripts loaded and ``given`` in scope; inf is None."""
    assert NODE is not None
    files = [str(SCRIPTS / f"{name}.js") for name in FREE_OF_THE_PAGE]
    program = f"""
        const fs = require("fs"), vm = require("vm");
        for (const file of {json.dumps(files)})
          vm.runInThisContext(fs.readFileSync(file, "utf8"), file);
        globalThis.given = JSON.parse(fs.readFileSync(0, "utf8"));
        const found = vm.runInThisContext({json.dumps(f"({expression})")});
        fs.writeFileSync(1, JSON.stringify(found));
    """
    done = subprocess.run(
        [NODE, "-e", program], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def net_of(point: Point) -> st.MeanField:
    """The network of the theory."""
    q_star = point["qStar"]
    kind = ACTIVATIONS[point["kind"]]
    slope = {"slope": point["slope"]} if kind.clipped else {}
    return st.edge_of_chaos(kind.for_sparsity(point["s"], **slope, q_star=q_star), q_star)


@cache
def points() -> tuple[Point, ...]:
    """Settings over all that the page allows, each with a variance and a gap."""
    rng = np.random.default_rng(20260)
    return tuple(
        {
            "kind": str(rng.choice(list(ACTIVATIONS))),
            "s": rng.uniform(0.5, 0.98),
            "slope": rng.uniform(0.05, 0.99),
            "qStar": 10 ** rng.uniform(-1, 1),
            "q": 10 ** rng.uniform(-2, 2),  # in units of q*
            "gap": 10 ** rng.uniform(-10, 0),
            "width": int(rng.integers(10, 1001)),
            "depth": int(rng.integers(2, 201)),
        }
        for _ in range(200)
    )


def shown(settings: tuple[Point, ...]) -> list[dict[str, float | None]]:
    """What the page says of them."""
    return list(
        run(
            """given.map(point => {
              const net = Theory.edgeOfChaos(point), q = point.q * point.qStar;
              return {
                tau: net.tau, m: net.m, "sigma_w^2": net.sigmaW2, "sigma_b^2": net.sigmaB2,
                V: Theory.varianceMap(net, q), "V'": Theory.varianceSlope(net, q),
                "V''": Theory.varianceCurvature(net, q), chi: Theory.chi(net, q),
                sparsity: Theory.sparsity(net, q), gap: Theory.correlationGap(net, point.gap),
                "R'": Theory.correlationSlope(net, point.gap),
                learnability: Theory.learnability(net, point.width, point.depth),
              };
            })""",
            settings,
        )
    )


@cache
def expected() -> tuple[dict[str, float], ...]:
    """What the theory says of the points, under the same names."""
    return tuple(expected_of(point) for point in points())


def expected_of(point: Point) -> dict[str, float]:
    net, q = net_of(point), point["q"] * point["qStar"]
    phi: Any = net.activation
    return {
        "tau": phi.tau,
        "m": getattr(phi, "m", np.inf),
        "sigma_w^2": float(net.sigma_w2),
        "sigma_b^2": float(net.sigma_b2),
        "V": float(net.variance_map(q)),
        "V'": float(net.variance_slope(q)),
        "V''": float(net.variance_curvature(q)),
        "chi": float(net.chi(q)),
        "sparsity": float(phi.sparsity(q)),
        "gap": float(net.correlation_gap(point["gap"])),
        "R'": float(net.correlation_slope(1.0 - point["gap"])),
        "learnability": learnability(net, point["width"], point["depth"]),
    }


def size_of(name: str, value: float, point: Point) -> float:
    """What an error is relative to: the number itself where it cannot vanish.

    V'' changes sign: there it is the sum of the sizes of its terms. Learnability is a logarithm.
    """
    if name == "V''":
        net, q = net_of(point), point["q"] * point["qStar"]
        phi: Any = net.activation
        ends = np.array([phi.tau, phi.tau + getattr(phi, "m", np.inf)]) / np.sqrt(q)
        a, b = np.minimum(ends, 100.0)
        terms = a * stats.norm.pdf(a) + (a + (b - a) * b**2) * stats.norm.pdf(b)
        return float(net.sigma_w2 * (1 + phi.odd) * terms / (2 * q))
    return max(1.0, abs(value)) if name == "learnability" else abs(value)


def errors(name: str, found: list[dict[str, float | None]]) -> list[float]:
    """Those of a number at all points; 0 where it is infinite, and should be."""
    result = []
    for number, value, point in zip(
        (each[name] for each in found), (each[name] for each in expected()), points(), strict=True
    ):
        if number is None or np.isinf(value):
            result.append(0.0 if number is None and np.isinf(value) else np.inf)
        else:
            result.append(abs(number - value) / size_of(name, value, point))
    return result


TOLERANCE = 1e-10  # what the page says; R' has errors to 6e-12, where it is small, others to 2e-13

CONTINUOUS = ("m", "sigma_w^2", "sigma_b^2", "V", "V'", "V''", "chi", "gap", "R'", "learnability")
NAMES = ("tau", "sparsity", *CONTINUOUS)


@cache
def shown_of_points() -> list[dict[str, float | None]]:
    return shown(points())


@pytest.mark.parametrize("name", NAMES)
def test_the_page_agrees_with_the_theory_to_ten_digits(name: str) -> None:
    found = errors(name, shown_of_points())
    worst = int(np.argmax(found))
    assert found[worst] <= TOLERANCE, (found[worst], points()[worst])


def test_the_comparison_tells_sparsities_apart_that_differ_by_a_millionth_of_a_thousandth() -> None:
    other = shown(tuple({**point, "s": point["s"] + 1e-9} for point in points()))
    for name in ("tau", "sigma_w^2", "sigma_b^2", "V", "V'", "V''", "chi", "sparsity", "gap"):
        assert max(errors(name, other)) > TOLERANCE, name


def test_the_page_has_every_fixed_point_with_its_stability() -> None:
    chosen = points()[:120]
    found = run("given.map(point => Theory.fixedPoints(Theory.edgeOfChaos(point)))", chosen)
    several = 0
    for shown_points, point in zip(found, chosen, strict=True):
        net = net_of(point)
        phi: Any = net.activation
        true = st.fixed_points(net)
        several += len(true) > 1
        assert [each["stable"] for each in shown_points] == [each.stable for each in true], point
        for each, other in zip(shown_points, true, strict=True):
            # A root is as uncertain as V - q is flat there; one that touches is q* itself.
            sharpness = abs(1.0 - other.slope) if other.stable or len(true) > 1 else 1.0
            assert abs(each["q"] - other.q) <= 1e-12 / sharpness * other.q, point
            assert each["chi"] == pytest.approx(other.chi, rel=1e-12 / sharpness)
            zeros = float(phi.sparsity(other.q))
            assert each["sparsity"] == pytest.approx(zeros, rel=1e-12 / sharpness)
    assert several >= 5


def test_without_threshold_the_page_finds_that_every_variance_is_a_fixed_point() -> None:
    relu = {"kind": "relu", "s": 0.5, "slope": 0.5, "qStar": 2.0}
    assert run("Theory.fixedPoints(Theory.edgeOfChaos(given))", relu) is None
    with pytest.raises(st.FixedPointContinuumError):
        st.fixed_points(net_of(relu))


@pytest.mark.parametrize(
    ("name", "exact", "scipy_has"),
    [
        ("erf", mp.erf, special.erf),
        ("erfc", mp.erfc, special.erfc),
        ("cdf", lambda x: mp.erfc(-x / mp.sqrt(2)) / 2, special.ndtr),
        ("density", lambda x: mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi), stats.norm.pdf),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_normal_distribution_of_the_page_is_exact_to_fourteen_digits(
    name: str, exact: Any, scipy_has: Any
) -> None:
    """The worst error found is 7e-16; that of SciPy, with which it is compared too, is 8e-14."""
    rng = np.random.default_rng(20261)
    x = np.concatenate([rng.uniform(-26, 26, 300), rng.uniform(-1, 1, 300), [0.5, -0.5, 0.0]])
    found = run(f"given.map(Normal.{name})", x.tolist())
    for at, number in zip(x, found, strict=True):
        true = exact(mp.mpf(at))
        assert abs(number - true) <= 1e-14 * abs(true), at
    np.testing.assert_allclose(found, scipy_has(x), rtol=2e-13)


def test_the_quantile_of_the_page_inverts_the_tail() -> None:
    rng = np.random.default_rng(20262)
    p = 10 ** rng.uniform(-300, np.log10(0.49), 300)
    found = run("given.map(Normal.tailQuantile)", p.tolist())
    np.testing.assert_allclose(found, -special.ndtri(p), rtol=1e-13)


def gains(chain: Chain) -> NDArray[np.float64]:
    """The logarithms of the largest gains."""
    return failure.log_largest_gain(chain)


def same_law(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Of Kolmogorov and Smirnov's test; gains of few units are tied, but for their rounding."""
    return float(stats.ks_2samp(np.round(first, 9), np.round(second, 9)).pvalue)


LAWS = (
    {"kind": "crelu", "s": 0.85, "slope": 0.7, "qStar": 2.0, "width": 100, "depth": 30},
    {"kind": "cst", "s": 0.7, "slope": 0.9, "qStar": 1.0, "width": 200, "depth": 20},
    {"kind": "relu", "s": 0.6, "slope": 0.5, "qStar": 1.0, "width": 20, "depth": 20},
    {"kind": "st", "s": 0.95, "slope": 0.5, "qStar": 0.5, "width": 120, "depth": 20},
)
"""With many units on the ramp, and with few, which are drawn one by one."""


@pytest.mark.parametrize("setting", LAWS, ids=lambda setting: setting["kind"])
def test_the_page_draws_networks_from_the_law_of_the_forecast(setting: Point) -> None:
    """Power: the law of networks a third as wide is rejected on the same sample."""
    number = 3000
    drawn = run(
        f"""(() => {{
          const random = Law.generator(7), net = Theory.edgeOfChaos(given);
          const draw = () => Law.drawNetwork(random, net, given.width, given.depth);
          return Array.from({{ length: {number} }}, draw);
        }})()""",
        setting,
    )
    net = net_of(setting)
    right, wrong = (
        draw_layers(net, width, setting["depth"], number, seed=8)
        for width in (setting["width"], setting["width"] // 3)
    )
    largest, last = (np.array([each[key] for each in drawn], float) for key in ("largest", "last"))
    whole = np.array([-np.inf if each["whole"] is None else each["whole"] for each in drawn])
    p = [
        same_law(largest, gains(right)),
        same_law(whole, right.log_backward_gain[0]),
        same_law(last, right.variance[-1]),
    ]
    assert plausible(p), p
    assert implausible(same_law(whole, wrong.log_backward_gain[0]))
    assert implausible(same_law(last, wrong.variance[-1]))


def test_the_page_makes_of_networks_what_the_forecast_makes() -> None:
    rng = np.random.default_rng(20263)
    for time, spread, shift, learning in (
        *((10.8, 1.0, 0.0, -0.4), (10.8, 1.0, 0.0, -0.6), (2.0, 6.0, 4.0, 0.5)),
        *((50.0, 2.0, 2.0, 1.0), (1.0, 3.0, -40.0, 1.0)),
    ):
        log_gain = rng.normal(shift, spread, 500)
        chain = Chain(
            np.ones((2, 500)), np.stack([np.exp(log_gain), np.ones(500)]), np.ones((2, 500))
        )
        networks = [{"largest": max(gain, 0.0), "whole": gain} for gain in log_gain]
        found, outcome, slow = run(
            """(({ networks, time, learning }) => {
              const found = Forecast.failure(networks, time);
              return [found, Forecast.outcome(found, learning, time), Forecast.slowBelow(time)];
            })(given)""",
            {"networks": networks, "time": time, "learning": learning},
        )
        probability = float(failure.failure_probability(chain, time))
        dead = float(failure.dead_share(chain))
        assert found["probability"] == pytest.approx(probability, rel=1e-12)
        error = float(failure.failure_standard_error(chain, time))
        assert found["error"] == pytest.approx(error, rel=1e-12)
        assert found["deadShare"] == pytest.approx(dead, rel=1e-12)
        assert slow == pytest.approx(forecast.slow_below(time), rel=1e-12)
        assert outcome == forecast.expected_outcome(probability, learning, dead, time)


def test_the_constants_of_the_page_are_those_of_the_forecast() -> None:
    found = run(
        "[Forecast.PAPER_TIME, Forecast.ENOUGH, Forecast.EVEN_EXCESS, Forecast.SLOW_BELOW,"
        " Forecast.MOST, Theory.REFERENCE_GAP]"
    )
    assert found == [
        *(failure.PAPER_TIME, failure.ENOUGH, failure.EVEN_EXCESS),
        *(forecast.SLOW_BELOW, forecast.MOST, REFERENCE_GAP),
    ]
    no_gain = run("Forecast.LOG_NO_GAIN")
    assert no_gain == pytest.approx(np.log(failure.NO_GAIN), rel=1e-15)


@cache
def settings() -> tuple[Point, ...]:
    """Random settings of the controls, the first ones included."""
    rng = np.random.default_rng(20264)
    values, initial = run("[Settings.VALUES, Settings.INITIAL]")
    drawn = [
        {name: float(rng.choice(allowed)) for name, allowed in values.items()}
        | {"kind": str(rng.choice(list(ACTIVATIONS)))}
        for _ in range(20)
    ]
    return (initial, *drawn)


def test_an_address_keeps_the_settings() -> None:
    kept = run("given.map(each => Settings.read(Settings.written(each)))", settings())
    assert kept == list(settings())


def test_the_address_of_a_section_keeps_no_settings_and_bad_values_are_passed_over() -> None:
    read = "given.map(address => Settings.read(address))"
    addresses = ["", "#glossary", "#kind=gelu&s=0.9", "#kind=st&s=0.9&width=&depth=x&q_star=1e999"]
    *none, some = run(read, addresses)
    assert none == [None, None, None]
    assert some == run("({ ...Settings.INITIAL, kind: 'st', s: 0.9 })")
    (nearest,) = run(read, ["#kind=st&s=7&width=310"])
    assert (nearest["s"], nearest["width"]) == (0.98, 300)


def test_the_python_that_the_page_shows_gives_its_numbers() -> None:
    chosen = [each for each in settings() if each["width"] * each["depth"] <= 30_000][:6]
    shown_lines = run("given.map(Settings.python)", chosen)
    drawn = run(
        """given.map(each => {
          const net = Theory.edgeOfChaos({ ...each, qStar: each.q_star });
          return [net.sigmaW2, net.sigmaB2, Theory.learnability(net, each.width, each.depth)];
        })""",
        chosen,
    )
    for lines, (weights, biases, learning) in zip(shown_lines, drawn, strict=True):
        names: dict[str, Any] = {}
        exec(lines, names)
        assert float(names["net"].sigma_w2) == pytest.approx(weights, rel=TOLERANCE)
        assert float(names["net"].sigma_b2) == pytest.approx(biases, rel=TOLERANCE)
        assert names["found"].learnability == pytest.approx(learning, rel=TOLERANCE)
