"""A table of results as text, Markdown, CSV or JSON: ours and the paper's, never mixed up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from sparsity_theory.published.tables import Scores
from torch_models.records.outcomes import LEARNED
from torch_models.records.results import RowSummary, TableSummary
from torch_models.records.runs import find_budget
from torch_models.reports.numbers import mean_and_deviation

COLUMNS = ("row", "budget", "runs", "trained", "diverged", "accuracy", "paper", "sparsity", "paper",
           "ended otherwise")  # fmt: skip
LEFT = {"row", "budget", "ended otherwise"}

NOTES = (
    "Mean ± standard deviation over runs (n - 1) on the test set; a single run has none.",
    f"Trained: accuracy at least {LEARNED:g}, and the sparsity kept. Diverged: stopped, and tested "
    "with the weights of the last sound step; these runs are part of the means.",
)


def as_text(summaries: Sequence[TableSummary]) -> str:
    """Aligned columns, each group with its header; of its rows, those that have records."""
    parts = []
    for summary in summaries:
        rows = [row for row in summary.rows if row.records] or summary.rows
        lines = [COLUMNS, *(_cells(summary, row) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join(
                cell.ljust(width) if name in LEFT else cell.rjust(width)
                for name, cell, width in zip(COLUMNS, line, widths, strict=True)
            ).rstrip()
            for line in lines
        ]
        if len(rows) < len(summary.rows):
            aligned.append(f"{len(summary.rows) - len(rows)} rows have no record")
        parts.append("\n".join((*header(summary), "", *aligned)))
    return "\n\n".join((*parts, "\n".join(NOTES))) + "\n"


def as_markdown(summaries: Sequence[TableSummary]) -> str:
    """A table for each group, with its header above it."""
    rule = [":---" if name in LEFT else "---:" for name in COLUMNS]
    parts = []
    for summary in summaries:
        lines = [COLUMNS, rule, *(_cells(summary, row) for row in summary.rows)]
        title, *facts = header(summary)
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"**{title}**\n\n" + "\n".join(facts) + f"\n\n{table}")
    return "\n\n".join((*parts, "\n".join(NOTES))) + "\n"


def as_csv(summaries: Sequence[TableSummary]) -> str:
    """One line a row of the table; empty where there is no figure. See `row_object`."""
    flat = [_flat(row_object(summary, row)) for summary in summaries for row in summary.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def as_json(summaries: Sequence[TableSummary]) -> str:
    """A list with one object a row of the table; see `row_object`."""
    objects = [row_object(summary, row) for summary in summaries for row in summary.rows]
    return json.dumps(objects, indent=1, allow_nan=False) + "\n"


def row_object(summary: TableSummary, row: RowSummary) -> dict[str, Any]:
    """A row with its figures, the paper's under ``paper``; None where there is none.

    ``diverged`` counts runs that were stopped for any reason, and ``divergences`` gives the
    reasons; ``outcomes`` has every run, one whose sparsity was halved in training under
    ``"sparsity lost"``.
    """
    group = summary.group
    return {
        "table": summary.table,
        "activation": row.published.design.kind,
        "sparsity": row.published.design.sparsity,
        "slope": row.published.design.slope,
        "network": summary.network,
        "budget": summary.budget,
        "runs": len(row.records),
        "diverged": sum(row.divergences.values()),
        **_figures(row.ours),
        "paper": _figures(row.paper),
        "outcomes": row.outcomes,
        "divergences": row.divergences,
        "experiment": None if group is None else group.experiment.to_json(),
        "data": None if group is None else group.source,
    }


def header(summary: TableSummary) -> list[str]:
    """Lines that say what the figures below them are, and are not."""
    title = f"Table {summary.table}, {summary.network}"
    paper = find_budget("full", summary.table, summary.network).experiment
    theirs = (
        f"The paper's: {paper.trained_as}, {paper.data}; it states neither batch size nor momentum."
    )
    group = summary.group
    if group is None:
        asked = "" if summary.budget is None else f" of budget {summary.budget}"
        return [f"{title}: no records{asked}", theirs]
    whose = "" if group.budget == "full" else ", which is not the paper's"
    lines = [
        f"{title}: budget {summary.budget_in_words}{whose}",
        f"Ours: {group.description}, {group.images_described}.",
        theirs,
    ]
    if not group.as_published:
        lines.append("The images are not those of the published data set.")
    return lines


def _cells(summary: TableSummary, row: RowSummary) -> tuple[str, ...]:
    ours, paper, runs = row.ours, row.paper, len(row.records)
    budget = summary.budget_in_words or "-"
    return (
        row.published.design.label,
        budget,
        str(runs),
        str(row.outcomes["trained"]) if runs else "-",
        str(sum(row.divergences.values())) if runs else "-",
        "no record"
        if ours is None
        else mean_and_deviation(ours.accuracy_mean, ours.accuracy_std, 3),
        "-" if paper is None else mean_and_deviation(paper.accuracy_mean, paper.accuracy_std, 2),
        "-" if ours is None else mean_and_deviation(ours.sparsity_mean, ours.sparsity_std, 3),
        "-" if paper is None else mean_and_deviation(paper.sparsity_mean, paper.sparsity_std, 2),
        _otherwise(row),
    )


def _otherwise(row: RowSummary) -> str:
    """The outcomes of the runs that did not train; of those that diverged, how."""
    others = [record.outcome_in_detail for record in row.records if record.outcome != "trained"]
    return ", ".join(f"{others.count(each)} {each}" for each in dict.fromkeys(others))


def _figures(figures: Scores | None) -> dict[str, float | None]:
    if figures is None:
        return dict.fromkeys(
            ("accuracy_mean", "accuracy_std", "test_sparsity_mean", "test_sparsity_std")
        )
    return {
        "accuracy_mean": figures.accuracy_mean,
        "accuracy_std": figures.accuracy_std,
        "test_sparsity_mean": figures.sparsity_mean,
        "test_sparsity_std": figures.sparsity_std,
    }


def _flat(nested: dict[str, Any]) -> dict[str, Any]:
    """Columns of a CSV file: what is inside an object gets the object's name in front."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if key in ("paper", "outcomes"):
            flat |= {f"{key}_{inner.replace(' ', '_')}": each for inner, each in value.items()}
        elif key == "divergences":
            flat[key] = "; ".join(f"{count} {kind}" for kind, count in value.items())
        elif key == "experiment":
            flat[key] = value and json.dumps(value)
        else:
            flat[key] = value
    return flat


FORMATS: dict[str, Callable[[Sequence[TableSummary]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
}
