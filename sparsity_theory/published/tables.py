"""The rows of the paper's Tables 2, 4 and 5 as data: what was run, and with which scores."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .rows import Design

FAILED_BELOW = 0.65
"""Mean accuracy below which dense networks count as failed; no row lies between 0.60 and 0.76."""

SPLIT_ABOVE = 0.3
"""Standard deviation of the accuracy above which some of five dense networks trained, some failed.

One that stays at .1 while four reach .93 gives .37; no row lies between 0.17 and 0.36.
"""

CNN_FAILED_BELOW = 0.5
"""The same for the convolutional networks, of which no row lies between 0.31 and 0.63."""

CNN_KERNEL, CNN_POSITIONS = 3, (32, 32)
"""Of the convolutional networks: an image of CIFAR-10, and a kernel that the paper does not state.

Kernels do not matter to the law of networks with many positions, as long as they mix them.
"""


@dataclass(frozen=True)
class Scores:
    """Test accuracy and sparsity: mean and standard deviation over runs, which one run has not."""

    accuracy_mean: float
    accuracy_std: float | None
    sparsity_mean: float
    sparsity_std: float | None


@dataclass(frozen=True)
class PublishedRow:
    """One row of a table: the networks, and the test scores that the paper reports of them.

    ``dnn`` are five dense networks on MNIST, ``cnn`` one convolutional network on CIFAR-10, which
    Table 2 alone has; ``depth`` and ``cnn_depth`` are their hidden layers. ``printed`` is the row
    as in `published_tables.toml`, digits as printed.
    """

    table: int
    design: Design
    width: int
    depth: int
    cnn_depth: int | None
    q_star: float
    dnn: Scores
    cnn: Scores | None
    printed: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether the dense networks failed to train, judged by their mean accuracy."""
        return self.dnn.accuracy_mean < FAILED_BELOW

    @property
    def split(self) -> bool:
        """Whether some of the dense networks trained and some failed, judged by their deviation."""
        return (self.dnn.accuracy_std or 0.0) > SPLIT_ABOVE

    def has(self, network: str) -> bool:
        """Whether the paper reports an outcome of this network, ``"dnn"`` or ``"cnn"``."""
        return network == "dnn" or (network == "cnn" and self.cnn is not None)

    def depth_of(self, network: str) -> int:
        """Hidden layers of the dense or the convolutional networks.

        Raises:
            ValueError: if the paper has no such networks in this row.
        """
        self._require(network)
        return self.depth if network == "dnn" or self.cnn_depth is None else self.cnn_depth

    def scores_of(self, network: str) -> Scores:
        """Test scores of the dense or the convolutional networks; errors as of `depth_of`."""
        self._require(network)
        return self.dnn if network == "dnn" or self.cnn is None else self.cnn

    def failed_as(self, network: str) -> bool:
        """Whether the dense or the convolutional networks failed; errors as of `depth_of`."""
        if network == "dnn":
            return self.failed
        return self.scores_of(network).accuracy_mean < CNN_FAILED_BELOW

    def _require(self, network: str) -> None:
        if not self.has(network):
            known = "'dnn'" if self.cnn is None else "'dnn' or 'cnn'"
            raise ValueError(f"network must be {known} in Table {self.table}, got {network!r}")


@cache
def read_tables() -> dict[str, Any]:
    """The file as it is, by table (``table_2``, ...)."""
    return tomllib.loads(
        Path(__file__).with_name("published_tables.toml").read_text(encoding="utf-8")
    )


def published_rows(table: int) -> tuple[PublishedRow, ...]:
    """The rows of Table 2, 4 or 5, in the paper's order.

    Raises:
        ValueError: for another table.
    """
    tables = read_tables()
    if f"table_{table}" not in tables:
        known = ", ".join(name.removeprefix("table_") for name in tables)
        raise ValueError(f"table must be one of {known}, got {table!r}")
    return _rows(table)


@cache
def _rows(table: int) -> tuple[PublishedRow, ...]:
    content = read_tables()[f"table_{table}"]
    return tuple(_published(table, content, printed) for printed in content["rows"])


def _published(table: int, content: dict[str, Any], printed: dict[str, Any]) -> PublishedRow:
    slope = float(printed["slope"]) if "m" in printed else None
    return PublishedRow(
        table=table,
        design=Design(printed["kind"], float(printed["s"]), slope),
        width=content["width"],
        depth=content["depth"],
        cnn_depth=content.get("cnn_depth"),
        q_star=content["q_star"],
        dnn=_scores(printed["dnn"]),
        cnn=_scores(printed["cnn"]) if "cnn" in printed else None,
        printed=printed,
    )


def _scores(printed: dict[str, Any]) -> Scores:
    """A pair is a mean with its deviation, a single number one run."""
    accuracy, sparsity = (
        value if isinstance(value, list) else [value, None]
        for value in (printed["accuracy"], printed["sparsity"])
    )
    return Scores(*accuracy, *sparsity)
