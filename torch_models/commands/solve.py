"""``sparsity-theory solve``: tau, m, sigma_w^2 and sigma_b^2 on the edge of chaos, and the maps."""

from __future__ import annotations

import json
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import sparsity_theory as st
from sparsity_theory import _validation as check
from sparsity_theory.published.rows import chosen_designs
from torch_models.commands.errors import fail
from torch_models.commands.printing import print_table, table
from torch_models.reports.numbers import number

KINDS = ", ".join(st.ACTIVATIONS)
TABLE_VARIANCES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)
TABLE_CORRELATIONS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


def solve(
    activation: Annotated[str, typer.Option(help=f"One of {KINDS}.")] = "crelu",
    sparsity: Annotated[float, typer.Option(help="Share of zeros s, between 0 and 1.")] = 0.85,
    slope: Annotated[
        float | None,
        typer.Option(help="V'(q*) of a clipped kind, between 0 and 1.", show_default="0.7"),
    ] = None,
    q_star: Annotated[float, typer.Option(help="Fixed point q* of the variance map.")] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
) -> None:
    """Solve for tau, m, sigma_w^2 and sigma_b^2 on the edge of chaos, and tabulate maps."""
    try:
        solution = solution_of(activation, sparsity, slope, q_star)
    except ValueError as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(solution, indent=1, allow_nan=False))
    else:
        print_solution(solution, Console(highlight=False))


def solution_of(
    activation: str, sparsity: float, slope: float | None, q_star: float
) -> dict[str, Any]:
    """Return everything that ``solve`` prints. Raises ``ValueError`` for what has no solution."""
    (row,) = chosen_designs(activation, sparsity, slope)
    check.positive("q-star", q_star)
    phi, net = row.activation(q_star), row.net(q_star)
    fixed_points = _fixed_points(net)  # refuses a q* beside which a double has no room
    variances = q_star * np.asarray(TABLE_VARIANCES)
    correlations = np.asarray(TABLE_CORRELATIONS)
    return {
        "activation": row.kind,
        "label": st.ACTIVATIONS[row.kind].label,
        "sparsity": sparsity,
        "q_star": q_star,
        "tau": float(phi.tau),
        "m": float(phi.m) if isinstance(phi, st.ClippedReLU | st.ClippedSoftThreshold) else None,
        "sigma_w2": float(net.sigma_w2),
        "sigma_b2": float(net.sigma_b2),
        "variance_slope": float(net.variance_slope(q_star)),
        "variance_curvature": float(net.variance_curvature(q_star)),
        "chi_1": float(net.chi(q_star)),
        "fixed_points": fixed_points,
        "variance_map": [
            {"q": q, "V": V, "V_slope": slope_at_q, "chi": chi}
            for q, V, slope_at_q, chi in zip(
                variances.tolist(),
                net.variance_map(variances).tolist(),
                net.variance_slope(variances).tolist(),
                net.chi(variances).tolist(),
                strict=True,
            )
        ],
        "correlation_map": [
            {"rho": rho, "R": R}
            for rho, R in zip(
                correlations.tolist(),
                np.asarray(net.correlation_map(correlations, q=q_star)).tolist(),
                strict=True,
            )
        ],
    }


def print_solution(solution: dict[str, Any], console: Console) -> None:
    """Print what ``solution_of`` returned as three small tables."""
    console.print(
        f"[bold]{solution['label']}[/bold]  s = {solution['sparsity']:g}, "
        f"q* = {solution['q_star']:g}, on the edge of chaos"
    )
    parameters = table("", "value", left=("",))
    for name, key in (
        ("tau", "tau"),
        ("m", "m"),
        ("sigma_w^2", "sigma_w2"),
        ("sigma_b^2", "sigma_b2"),
        ("V'(q*)", "variance_slope"),
        ("V''(q*)", "variance_curvature"),
        ("chi_1", "chi_1"),
    ):
        value = solution[key]
        parameters.add_row(name, "-" if value is None else number(value, 6))
    print_table(console, parameters)
    if solution["fixed_points"] is None:
        console.print("every q is a fixed point")
    else:
        points = table("fixed point q", "V'", "chi", "stable")
        for point in solution["fixed_points"]:
            points.add_row(
                number(point["q"], 6),
                number(point["slope"], 6),
                number(point["chi"], 6),
                "yes" if point["stable"] else "no",
            )
        print_table(console, points)
    variance = table("q", "V(q)", "V'(q)", "chi(q)")
    for entry in solution["variance_map"]:
        variance.add_row(
            f"{entry['q']:g}", *(number(entry[key], 6) for key in ("V", "V_slope", "chi"))
        )
    print_table(console, variance)
    correlation = table("rho", "R(rho)")
    for entry in solution["correlation_map"]:
        correlation.add_row(f"{entry['rho']:g}", number(entry["R"], 6))
    print_table(console, correlation)


def _fixed_points(net: st.MeanField) -> list[dict[str, Any]] | None:
    """Return the fixed points, or None where every variance is one (ReLU and the identity)."""
    try:
        points = st.fixed_points(net)
    except st.FixedPointContinuumError:
        return None
    return [
        {
            "q": float(point.q),
            "slope": float(point.slope),
            "chi": float(point.chi),
            "stable": bool(point.stable),
        }
        for point in points
    ]
