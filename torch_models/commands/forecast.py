"""``sparsity-theory forecast``: which initializations train, beside what the paper reports."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import sparsity_theory as st
from sparsity_theory.finite_width.failure import PAPER_TIME
from sparsity_theory.published.ranking import (
    RANKINGS,
    RankedRow,
    area_under_curve,
    published_outcomes,
    ranked_row,
)
from sparsity_theory.published.rows import DEFAULT_SLOPE, DEFAULT_SPARSITY, Design, chosen_designs
from sparsity_theory.published.tables import CNN_FAILED_BELOW, FAILED_BELOW
from torch_models.commands.errors import fail
from torch_models.commands.options import sizes_of_positions
from torch_models.commands.pictures import Plot, check_plot, draw_to
from torch_models.commands.printing import inputs_of, print_table, table, tracked
from torch_models.reports.drawing import save_picture
from torch_models.reports.law_figure import laws
from torch_models.reports.ranking_figure import ranking

WIDTH, DEPTH = 300, 100


def forecast(
    tables: Annotated[
        list[int] | None,
        typer.Option(
            "--table", help="All rows of Table 2, 4 or 5; may be repeated.", show_default="one row"
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            help="Networks of the rows of the tables: dnn, or cnn in Table 2; may be repeated.",
            show_default="dnn",
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(help="One row of your own: relu, st, crelu or cst.", show_default="crelu"),
    ] = None,
    sparsity: Annotated[
        float | None,
        typer.Option(help="Its share of zeros s.", show_default=str(DEFAULT_SPARSITY)),
    ] = None,
    slope: Annotated[
        float | None,
        typer.Option(help="Its V'(q*), if clipped.", show_default=str(DEFAULT_SLOPE)),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Units in each of its layers.", show_default=str(WIDTH))
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Its hidden layers.", show_default=str(DEPTH))
    ] = None,
    kernel: Annotated[
        int | None,
        typer.Option(help="Of convolutional networks: their kernels' size.", show_default="dense"),
    ] = None,
    positions: Annotated[
        str | None,
        typer.Option(
            help="Of convolutional networks: 1024 in a ring, or 32x32.", show_default="dense"
        ),
    ] = None,
    training_time: Annotated[
        float | None,
        typer.Option(
            help="Of a row of your own: learning rate times steps of SGD.",
            show_default=f"{PAPER_TIME:g}, as in the paper",
        ),
    ] = None,
    networks: Annotated[int, typer.Option(help="Random networks to draw for each row.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
    plot: Plot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say from the exact law at finite width, training nothing, which networks train.

    With --table, rows are ranked beside the accuracy that the paper reports, and the ranking is
    scored: the AUC is the probability that a row that failed ranks above one that trained.
    """
    check_plot(plot)
    try:
        if tables:
            own = {
                "activation": activation,
                "sparsity": sparsity,
                "slope": slope,
                "width": width,
                "depth": depth,
                "kernel": kernel,
                "positions": positions,
                "training time": training_time,
            }
            for name, value in own.items():
                if value is not None:
                    raise ValueError(f"{name} does not go with table, whose rows have their own")
            _forecast_tables(tables, kinds or ["dnn"], networks, seed, plot, as_json)
        elif kinds:
            raise ValueError(
                "network goes with table; kernel and positions make a row of your own convolutional"
            )
        else:
            (row,) = chosen_designs(activation or "crelu", sparsity, slope)
            size = (WIDTH if width is None else width, DEPTH if depth is None else depth)
            places = None if positions is None else sizes_of_positions(positions)
            time = PAPER_TIME if training_time is None else training_time
            found = st.forecast(
                row.net(), *size, networks, seed, row.input_variance(), kernel, places, time
            )
            inputs = {**inputs_of(row), "width": size[0], "depth": size[1]}
            inputs |= {"kernel": kernel, "positions": places, "training_time": time}
            inputs |= {"networks": networks, "seed": seed}
            _print_one(row, inputs, found, as_json)
            if plot is not None:
                draw_to(plot, partial(save_picture, laws(row, _title(row, inputs), found)))
    except ValueError as error:
        fail(str(error))


def _forecast_tables(
    tables: Sequence[int],
    kinds: Sequence[str],
    networks: int,
    seed: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    outcomes = published_outcomes(tables, kinds)
    ranked = [
        ranked_row(row, networks, seed, network)
        for row, network in tracked(outcomes, "drawing networks")
    ]
    ranked.sort(key=lambda each: each.forecast.severity, reverse=True)
    failed = [each.failed for each in ranked]
    areas = {
        name: area_under_curve([score(each) for each in ranked], failed)
        for name, score in RANKINGS.items()
    }
    if as_json:
        content = {
            "tables": list(tables),
            "network": list(dict.fromkeys(kinds)),
            "networks": networks,
            "seed": seed,
            "rows": [_record(each) for each in ranked],
            "auc": areas,
        }
        typer.echo(json.dumps(content, indent=1))
    else:
        _print_ranking(ranked, areas)
    if plot is not None:
        draw_to(plot, partial(save_picture, ranking(ranked)))


def _record(ranked: RankedRow) -> dict[str, Any]:
    published, found = ranked.published, ranked.forecast
    return {
        "table": published.table,
        "network": ranked.network,
        "activation": published.design.kind,
        "sparsity": published.design.sparsity,
        "slope": published.design.slope,
        "depth": published.depth_of(ranked.network),
        "failure_probability": found.failure_probability,
        "severity": found.severity,
        "learnability": _number(found.learnability),
        "largest_step": found.largest_step,
        "curvature": ranked.curvature,
        "outcome": found.outcome,
        "paper": {
            "accuracy_mean": published.scores_of(ranked.network).accuracy_mean,
            "failed": ranked.failed,
        },
    }


def _number(value: float | None) -> float | None:
    """A number as JSON has it: None for one that is not finite."""
    return value if value is not None and math.isfinite(value) else None


def _shown(value: float | None, form: str) -> str:
    """A number in this form; - for None."""
    return "-" if value is None else format(value, form)


def _print_ranking(ranked: Sequence[RankedRow], areas: dict[str, float]) -> None:
    lines = table(
        *("table", "network", "row", "failing", "severity", "learnability", "forecast", "V''"),
        "paper's accuracy",
        left=("network", "row", "forecast"),
    )
    for each in ranked:
        published, found = each.published, each.forecast
        accuracy = published.scores_of(each.network).accuracy_mean
        lines.add_row(
            str(published.table),
            each.network,
            published.design.label,
            f"{found.failure_probability:.1%}",
            f"{found.severity:.2f}",
            _shown(found.learnability, ".2f"),
            found.outcome,
            f"{each.curvature:.3f}",
            f"{accuracy:.2f}" + (" failed" if each.failed else ""),
        )
    console = Console(highlight=False)
    print_table(console, lines)
    console.print(
        f"\n{len(ranked)} rows; failed: a mean accuracy below {FAILED_BELOW}, of a cnn "
        f"below {CNN_FAILED_BELOW}. "
        "failing: the calibrated probability that a run explodes or loses its sparsity. severity: "
        "log10 of the mean over networks of the largest gain of squared gradients, cut at 1e12. "
        "learnability: log10 of the rate at which a typical dense network tells inputs apart; 1 "
        "more learns ten times as fast."
    )
    for name, area in areas.items():
        console.print(f"AUC {area:.3f} by {name}")


def _title(row: Design, inputs: dict[str, Any]) -> str:
    """The row and the size of its networks."""
    title = f"{row.label}, width {inputs['width']}, depth {inputs['depth']}"
    if inputs["positions"] is not None:
        places = " x ".join(str(size) for size in inputs["positions"])
        title += f", kernel {inputs['kernel']}, {places} positions"
    return title


def _print_one(row: Design, inputs: dict[str, Any], found: st.Forecast, as_json: bool) -> None:
    quantiles = {
        name: getattr(found, name).tolist()
        for name in ("final_variance", "largest_gain", "gradient_growth")
    }
    if as_json:
        record = {
            **inputs,
            "failure_probability": found.failure_probability,
            "severity": found.severity,
            "learnability": _number(found.learnability),
            "dead_share": found.dead_share,
            "largest_step": found.largest_step,
            "exploding_share": found.exploding_share,
            "left_basin": found.left_basin,
            **quantiles,
            "sparsity_mean": found.sparsity_mean.tolist(),
            "sparsity_std": found.sparsity_std.tolist(),
            "outcome": found.outcome,
            "verdict": found.verdict,
        }
        typer.echo(json.dumps(record, indent=1))
        return
    console = Console(highlight=False)
    console.print(f"[bold]{_title(row, inputs)}[/bold]: {found.verdict}", soft_wrap=True)
    lines = table("", "5%", "50%", "95%", left=("",))
    names = {
        "final_variance": "q^L",
        "largest_gain": "largest backward gain",
        "gradient_growth": "gain from h^L to h^1",
    }
    for key, label in names.items():
        lines.add_row(label, *(f"{value:.3g}" for value in quantiles[key]))
    print_table(console, lines)
    console.print(
        f"learnability {_shown(found.learnability, '.2f')}, dead networks {found.dead_share:.1%}, "
        f"largest step of SGD at first {_shown(found.largest_step, '.2g')}"
    )
    console.print(
        f"sparsity of the last layer {found.sparsity_mean[-1]:.3f} +- {found.sparsity_std[-1]:.3f}",
        soft_wrap=True,
    )
