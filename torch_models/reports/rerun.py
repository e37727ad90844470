"""The command line that trains the networks of a row again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from torch_models.records.run_record import RunRecord
from torch_models.records.runs import (
    Budget,
    Experiment,
    budget_names,
    find_budget,
    three_rows_budget,
)

OPTIONS = ("data", "width", "depth", "epochs", "learning_rate", "batch_size", "momentum")
"""The parts of an experiment that options change."""

AGAIN = "again"
"""The folder that the records go to: in that of the old ones nothing would be trained."""


def command_of(records: Sequence[RunRecord]) -> str | None:
    """What trains the runs of one row again, as typed into a shell.

    Seeds are counted from 0, so those up to the largest are trained. None if no options give the
    experiment, as with a number of images of one's own.

    Args:
        records: of one row and experiment.
    """
    run = records[0].run
    options = _options(run.table, run.experiment)
    if options is None:
        return None
    if run.table is None:
        design = run.design
        row = ["reproduce", "--activation", design.kind, "--sparsity", str(design.sparsity)]
        row += [] if design.slope is None else ["--slope", str(design.slope)]
    else:
        row = ["train-table", str(run.table), "--row", run.design.slug]
    seeds = 1 + max(record.run.seed for record in records)
    ends = ["--seeds", str(seeds), "--output", AGAIN]
    return shlex.join(["sparsity-theory", *row, *options, *ends])


def _options(table: int | None, experiment: Experiment) -> list[str] | None:
    """The fewest options that give the experiment, if any do."""
    found = []
    for options, budget in _budgets(table, experiment):
        wanted, given = asdict(experiment), asdict(budget.experiment)
        changed = {name for name in wanted if wanted[name] != given[name]}
        if changed <= set(OPTIONS):
            changes = [
                word
                for name in OPTIONS
                if name in changed
                for word in (f"--{name.replace('_', '-')}", str(wanted[name]))
            ]
            found.append([*options, *changes])
    return min(found, key=len, default=None)


def _budgets(table: int | None, experiment: Experiment) -> Iterator[tuple[list[str], Budget]]:
    """The budgets to begin with, and the options that choose them."""
    if table is None:
        if experiment.data != "cifar10":
            yield ["--data", experiment.data], three_rows_budget(experiment.data)
        return
    for name in budget_names():
        try:
            budget = find_budget(name, table, experiment.network)
        except ValueError:  # the table has no such budget
            continue
        yield ["--network", experiment.network, "--budget", name], budget
