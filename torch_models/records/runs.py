"""What networks are trained with, as data: budgets, experiments and single runs."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any

from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import PublishedRow, published_rows

NETWORKS = ("dnn", "cnn", "cnn-1d")
"""Dense networks (Eq. 1); convolutional ones (Eq. 2) of images, or of their pixels in one line.

The paper writes its theory down in one dimension, and does not say in how many it trains.
"""

SIDES = {"digits": 8, "mnist": 28, "cifar10": 32}
"""Pixels along an image, by data set: here so that records are read without loading torch."""

DATA_SETS = tuple(SIDES)
"""Names of `torch_models.data.LOADERS`."""

LEAST = {
    "width": 1, "depth": 2, "epochs": 1, "batch_size": 1, "train": 1, "test": 1, "coarsen": 1,
}  # fmt: skip
"""The smallest value of whole numbers of an experiment."""

CUSTOM = "custom"
"""The budget of runs whose experiment differs from that of every budget there is."""

THREE_ROWS = "three-rows"
"""The budget of rows that are no part of a table's training: the default three, or one's own."""


@dataclass(frozen=True)
class Experiment:
    """Everything besides the design and the seed that decides the outcome of a training.

    ``width`` counts units of a dense layer or channels of a convolutional one. ``train`` and
    ``test`` are numbers of images, None for all; images are averaged over blocks of ``coarsen`` x
    ``coarsen`` pixels. Members are trained by SGD, plain unless it has ``momentum``; all see the
    same batches, in the order that `torch_models.training.Schedule` draws from ``order``.

    Raises:
        ValueError: for a value out of range, named.
    """

    network: str
    data: str
    width: int
    depth: int
    epochs: int
    learning_rate: float
    batch_size: int
    train: int | None = None
    test: int | None = None
    coarsen: int = 1
    order: int = 0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        """Refuse at once what would fail, or mean nothing, in mid-run."""
        for name, known in (("network", NETWORKS), ("data", DATA_SETS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        for name, least in LEAST.items():
            value, shown = getattr(self, name), name.replace("_", " ")
            if value is None and name in ("train", "test"):
                continue
            if not isinstance(value, Integral):
                raise ValueError(f"{shown} must be a whole number, got {value!r}")
            if value < least:
                raise ValueError(f"{shown} must be at least {least}, got {value}")
        if self.coarsen > SIDES[self.data]:
            raise ValueError(
                f"coarsen must be at most {SIDES[self.data]}, the side of {self.data}'s images, "
                f"got {self.coarsen}"
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"learning rate must be positive and finite, got {self.learning_rate!r}"
            )
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum!r}")

    def training_time(self, images: int) -> float:
        """The learning rate times the steps that it takes on so many images.

        With momentum, which adds up gradients to 1 / (1 - momentum) times one, so many times that.
        """
        plain = training_time(self.learning_rate, self.epochs, self.batch_size, images)
        return plain / (1 - self.momentum)

    def to_json(self) -> dict[str, Any]:
        """Its parts by name, momentum only where there is some: older records were without."""
        parts = asdict(self)
        if not self.momentum:
            del parts["momentum"]
        return parts

    @property
    def positions(self) -> tuple[int, ...] | None:
        """Of the units of a convolutional network, in each dimension; None for a dense one."""
        side = SIDES[self.data] // self.coarsen
        return {"dnn": None, "cnn": (side, side), "cnn-1d": (side * side,)}[self.network]

    @property
    def epochs_in_words(self) -> str:
        """How many there are: "1 epoch", "200 epochs"."""
        return "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"

    @property
    def trained_as(self) -> str:
        """Size and training in words, as far as the paper states them of its own networks."""
        what = "width" if self.network == "dnn" else "channels"
        return (
            f"{what} {self.width}, depth {self.depth}, {self.epochs_in_words}, "
            f"learning rate {self.learning_rate:g}"
        )

    @property
    def not_in_the_paper(self) -> str:
        """What the paper does not state of its training, in words."""
        momentum = f", momentum {self.momentum:g}" if self.momentum else ""
        return f"batch size {self.batch_size}{momentum}"


def training_time(learning_rate: float, epochs: int, batch_size: int, images: int) -> float:
    """The learning rate times the steps that epochs take on so many images."""
    return learning_rate * epochs * math.ceil(images / batch_size)


@dataclass(frozen=True)
class Budget:
    """An experiment with its name, and how many networks a row has."""

    name: str
    experiment: Experiment
    seeds: int


@dataclass(frozen=True)
class Run:
    """One network of one design; ``table`` is None for one that is trained outside of a table."""

    table: int | None
    design: Design
    budget: str
    experiment: Experiment
    seed: int

    @property
    def name(self) -> str:
        """The stem of its files: what it is in words, and a digest of all that decides its outcome.

        The same run always has the same name, and two that differ in anything never share one.
        """
        described = json.dumps(
            {
                "table": self.table,
                "row": asdict(self.design),
                "budget": self.budget,
                "experiment": self.experiment.to_json(),
                "seed": self.seed,
            },
            sort_keys=True,
        )
        digest = hashlib.sha256(described.encode()).hexdigest()[:8]
        table = "" if self.table is None else f"table-{self.table}-"
        where = f"{table}{self.experiment.network}-{self.budget}"
        return f"{where}-{self.design.slug}-seed-{self.seed}-{digest}"


def budget_names() -> tuple[str, ...]:
    """The names of the budgets of tables, longest training first."""
    return tuple(dict.fromkeys(entry["name"] for entry in _entries() if entry["tables"]))


def find_budget(name: str | None, table: int, network: str, **changes: Any) -> Budget:
    """The budget of that name for the networks of a table; None is the shortest that they have.

    ``changes`` to the experiment that are not None are made, and the budget is then ``"custom"``:
    what it gives is not to be taken for what the budget gives.

    Raises:
        ValueError: if there is none, or a change is out of range.
    """
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
    if name is not None and name not in budget_names():
        raise ValueError(f"budget must be one of {', '.join(budget_names())}, got {name!r}")
    budgets = _budgets(table, network)
    name = name or list(budgets)[-1]
    if name not in budgets:
        raise ValueError(
            f"budget of {network!r} in Table {table} must be one of {', '.join(budgets)}, "
            f"got {name!r}"
        )
    return _changed(budgets[name], changes)


def three_rows_budget(data: str = "digits", **changes: Any) -> Budget:
    """The budget of the default three rows, or of a row of one's own, on this data set.

    ``changes`` are made as `find_budget` makes them.

    Raises:
        ValueError: for a data set that it does not have, or a change that is out of range.
    """
    budgets = {each.experiment.data: each for each in _three_rows_budgets()}
    if data not in budgets:
        raise ValueError(f"data must be one of {', '.join(budgets)}, got {data!r}")
    return _changed(budgets[data], changes)


def budget_in_words(table: int | None, name: str, experiment: Experiment) -> str:
    """The budget's name; for a custom one that is another for fewer or more epochs, also whose.

    ``full for 137 epochs``, say, among the budgets of a table, or of rows outside of one.
    """
    if name != CUSTOM:
        return name
    if table is None:
        known = _three_rows_budgets()
    else:
        known = list(_budgets(table, experiment.network).values())
    for budget in known:
        if replace(budget.experiment, epochs=experiment.epochs) == experiment:
            return f"{budget.name} for {experiment.epochs_in_words}"
    return CUSTOM


def runs_of(
    table: int | None, budget: Budget, designs: Iterable[Design], seeds: Sequence[int]
) -> list[Run]:
    """One run a design and seed, the first seed of every design first, so that a table fills up."""
    designs = list(designs)
    return [
        Run(table, design, budget.name, budget.experiment, seed)
        for seed in seeds
        for design in designs
    ]


def rows_named(table: int, network: str, slugs: Sequence[str]) -> tuple[PublishedRow, ...]:
    """The rows of a table that have networks of this kind; those with these slugs, or all.

    Raises:
        ValueError: for a slug that is none of theirs, or if the table has no such networks.
    """
    rows = tuple(
        published
        for published in published_rows(table)
        if network == "dnn" or published.cnn is not None
    )
    if not rows:
        raise ValueError(f"network {network!r} has no rows in Table {table}")
    known = {published.design.slug: published for published in rows}
    for slug in slugs:
        if slug.casefold() not in known:
            raise ValueError(f"row must be one of {', '.join(known)}, got {slug!r}")
    return tuple(known[slug.casefold()] for slug in slugs) or rows


def _budgets(table: int, network: str) -> dict[str, Budget]:
    """The budgets of a table for one kind of network, by name."""
    (published, *_) = rows_named(table, network, ())
    depth = published.depth if network == "dnn" else published.cnn_depth
    return {
        entry["name"]: _budget({"depth": depth, **entry})
        for entry in _entries()
        if entry["network"] == network and table in entry["tables"]
    }


def _three_rows_budgets() -> list[Budget]:
    """Those of rows outside of a table, one a data set."""
    return [_budget(entry) for entry in _entries() if entry["name"] == THREE_ROWS]


def _budget(entry: dict[str, Any]) -> Budget:
    settings = {key: entry[key] for key in entry if key not in ("name", "tables", "seeds")}
    return Budget(entry["name"], Experiment(**settings), entry["seeds"])


def _changed(budget: Budget, changes: dict[str, Any]) -> Budget:
    made = {name: value for name, value in changes.items() if value is not None}
    experiment = replace(budget.experiment, **made)
    return budget if experiment == budget.experiment else Budget(CUSTOM, experiment, budget.seeds)


@cache
def _entries() -> list[dict[str, Any]]:
    text = Path(__file__).with_name("budgets.toml").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = tomllib.loads(text)["budgets"]
    return entries
