"""Records in the order in which a reader looks at them: by setting, by row, by seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sparsity_theory as st
from sparsity_theory.published.rows import Design
from torch_models.records.results import RecordGroup
from torch_models.records.run_record import BUDGETS, RunRecord
from torch_models.records.runs import NETWORKS


@dataclass(frozen=True)
class Setting:
    """Rows whose networks were trained alike, for one table or for none.

    Attributes:
        table: 2, 4 or 5; None for rows that were trained outside of a table.
        group: what their networks have in common.
        rows: the records of each row, by seed; relu first, then st, crelu and cst.
    """

    table: int | None
    group: RecordGroup
    rows: tuple[tuple[RunRecord, ...], ...]


def settings_of(records: Iterable[RunRecord]) -> list[Setting]:
    """The settings of records; those outside of tables first, then by table, network and budget."""
    found: dict[tuple[int | None, RecordGroup], dict[Design, list[RunRecord]]] = {}
    for record in records:
        rows = found.setdefault((record.run.table, RecordGroup.of(record)), {})
        rows.setdefault(record.run.design, []).append(record)
    return [
        Setting(table, group, tuple(tuple(sorted(rows[each], key=_seed)) for each in _sorted(rows)))
        for (table, group), rows in sorted(found.items(), key=lambda item: _place(*item[0]))
    ]


def _seed(record: RunRecord) -> int:
    return record.run.seed


def _sorted(designs: Iterable[Design]) -> list[Design]:
    kinds = list(st.ACTIVATIONS)
    return sorted(designs, key=lambda row: (kinds.index(row.kind), row.sparsity, row.slope or 0))


def _place(table: int | None, group: RecordGroup) -> tuple[int, int, int, str, tuple[str, ...]]:
    experiment = group.experiment
    return (
        table or 0,
        NETWORKS.index(experiment.network),
        BUDGETS.index(group.budget),
        str(experiment),
        group.images,
    )
