"""A record of sparse inference as tables in Markdown, and as a picture.

A speedup is the time of the fastest dense product of the same layer over that of the sparse one. A
batch may be padded for a dense product, so those of larger batches count too: sometimes that of two
or four samples is faster than that of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch_models.reports.palette import shades
from torch_models.reports.panels import Axis, Curve, Panel, Picture, in_one_row

Record = dict[str, Any]

SPEEDUP_TICKS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def speedups(record: Record, width: int, batch: int, dense: str | None = None) -> list[float]:
    """By sparsity: over the fastest dense product, or over the one named by ``dense``."""
    layers = [layer for layer in layers_of(record, width) if layer["batch"] >= batch]
    if dense:
        time = layers[0]["dense"][dense]
    else:
        time = min(time for layer in layers for time in layer["dense"].values())
    return [time / sparse for sparse in layers[0]["sparse"]]


def layers_of(record: Record, width: int) -> list[dict[str, Any]]:
    """The layers of one width, by batch."""
    chosen = [layer for layer in record["layers"] if layer["width"] == width]
    return sorted(chosen, key=lambda layer: int(layer["batch"]))


def widths_of(record: Record) -> list[int]:
    """The widths of a record, ascending."""
    return sorted({layer["width"] for layer in record["layers"]})


def largest_winning_batches(record: Record, width: int, dense: str | None = None) -> list[int]:
    """By sparsity: the largest batch up to which all are faster sparse, 0 if none is."""
    largest = []
    for place in range(len(record["sparsities"])):
        winning = 0
        for layer in layers_of(record, width):
            if speedups(record, width, layer["batch"], dense)[place] <= 1:
                break
            winning = layer["batch"]
        largest.append(winning)
    return largest


def tables(record: Record) -> str:
    """The tables of ``docs/does-sparsity-pay.md``, each below a sentence that says what it has."""
    parts = (
        "How many times faster one input (batch 1) passes through a sparse layer than by the "
        "fastest dense product, and in parentheses than by `torch.nn.Linear`:",
        _speedups_of_one_input(record),
        "The largest batch up to which the sparse layer is faster than every dense product, and in "
        "parentheses than `torch.nn.Linear`:",
        _largest_batches(record),
        "Whole networks on the edge of chaos, CReLU with s = 0.85 and V'(q\\*) = 0.7:",
        _whole_networks(record),
        "Other operations for the sparse product at batch 1 and s = 0.85: their time over that "
        "of `embedding_bag`:",
        _alternatives(record),
    )
    return "\n\n".join(parts) + "\n"


def _speedups_of_one_input(record: Record) -> str:
    def cells(width: int) -> Iterator[str]:
        plain = speedups(record, width, 1, "linear")
        for pair in zip(speedups(record, width, 1), plain, strict=True):
            yield "{} ({})".format(*map(_times, pair))

    limits = [_times(1 / (1 - s)) for s in record["sparsities"]]
    rows = [[width, *cells(width)] for width in widths_of(record)]
    return _table(_head(record), [*rows, ["limit 1/(1-s)", *limits]])


def _largest_batches(record: Record) -> str:
    def cells(width: int) -> Iterator[str]:
        plain = largest_winning_batches(record, width, "linear")
        for pair in zip(largest_winning_batches(record, width), plain, strict=True):
            yield "{} ({})".format(*pair)

    return _table(_head(record), [[width, *cells(width)] for width in widths_of(record)])


def _whole_networks(record: Record) -> str:
    head = ["width", "depth", "batch", "zeros", "dense, ms", "sparse, ms", "times faster"]
    rows = [
        [
            *(network[name] for name in ("width", "depth", "batch")),
            f"{network['sparsity']:.3f}",
            *(f"{network[name] / 1000:.2f}" for name in ("dense", "sparse")),
            _times(network["dense"] / network["sparse"]),
        ]
        for network in record["networks"]
    ]
    return _table(head, rows)


def _alternatives(record: Record) -> str:
    place = record["sparsities"].index(0.85)
    singles = {width: layers_of(record, width)[0] for width in widths_of(record)}
    names = list(next(iter(singles.values()))["alternatives"])
    rows = [
        [width, *(_times(time / layer["sparse"][place]) for time in layer["alternatives"].values())]
        for width, layer in singles.items()
    ]
    return _table(["width", *names], rows)


def _head(record: Record) -> list[str]:
    return ["width", *(f"s = {s}" for s in record["sparsities"])]


def speedup_picture(record: Record) -> Picture:
    """The speedup over the batch, a panel for each width, with the limits as dotted lines."""
    hardware, threads = record["provenance"]["hardware"], record["threads"]
    return Picture(
        f"{hardware['processor']}, {threads} thread{'s' * (threads > 1)}, {record['dtype']}, "
        "weights not in the cache",
        in_one_row([_speedup_panel(record, width) for width in widths_of(record)]),
        note="full lines: measured; dotted: 1 / (share of W that is read)",
        shared_legend=True,
        panel_size=(3.1, 4.0),
    )


def _speedup_panel(record: Record, width: int) -> Panel:
    layers = layers_of(record, width)
    batches = [layer["batch"] for layer in layers]
    curves = []
    for place, (s, colour) in enumerate(
        zip(record["sparsities"], shades(len(record["sparsities"]))[::-1], strict=True)
    ):
        limits = [1 / layer["weights_read"][place] for layer in layers]
        curves.append(Curve.of(batches, limits, colour=colour, dashes=":", width=1.0))
        seen = [speedups(record, width, batch)[place] for batch in batches]
        curves.append(Curve.of(batches, seen, f"s = {s}", colour=colour, marker="o"))
    return Panel(
        f"width {width}",
        Axis("batch", scale="log", ticks=tuple(batches)),
        Axis("times faster than the fastest dense product", scale="log", ticks=SPEEDUP_TICKS),
        tuple(curves),
        levels=(1.0,),
    )


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
