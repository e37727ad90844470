"""What was measured on GPUs, as tables: one for each part that has a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from torch_models.records.card import COMPILED, ENTRIES, WHOLE, CardRecord

NOT_YET = "Not yet measured"

TITLES = {
    "tests": "Tests that need a GPU",
    "gradient-growth": "Gradient growth of all rows of Table 2",
    "convolutional": "Convolutional networks of all rows of Table 2",
    "step": "The training step beside its matrix products and other loops",
    "capture": "CUDA graph and torch.compile",
    "stack": "Networks trained together",
    "sparse-inference": "Sparse inference",
    "tables": "Tables 2, 4 and 5 at the paper's size",
}
"""Of the parts, in their order."""

SHOWN_SPARSITY = 0.85
PRODUCTS = "its matrix products alone"
PEERS = {
    "products": PRODUCTS,
    "eager": "plain PyTorch, a network a time",
    "lightning": "PyTorch Lightning, a network a time",
}


def tables(records: Sequence[CardRecord]) -> str:
    """Every card with its parts; rehearsals are left out.

    Args:
        records: ordered by card.
    """
    measured = [record for record in records if not record.rehearsal]
    if not measured:
        return f"{NOT_YET}: there is no record in `results/gpu`."
    cards = groupby(measured, key=lambda record: record.card)
    return "\n\n".join(of_card(card, list(of_one)) for card, of_one in cards)


def of_card(card: str, records: Sequence[CardRecord]) -> str:
    """One card: where its records come from, then a table for each part."""
    by_part = {record.part: record for record in records}
    parts = [f"### {card}", origins(records)]
    for part in ENTRIES:
        parts.append(f"**{TITLES[part]}**")
        record = by_part.get(part)
        if record is None:
            parts.append(f"{NOT_YET}.")
            continue
        if record.state != WHOLE:
            parts.append(f"*{record.state.capitalize()}: {record.reason}.*")
        if record.entries:
            parts.append(TABLES[part](record.entries))
    return "\n\n".join(parts)


def origins(records: Sequence[CardRecord]) -> str:
    """By which version, when and how they were made; by parts where that differs."""
    made: dict[str, list[str]] = {}
    for record in records:
        kernels = "" if record.kernels == COMPILED else f"; kernels: {record.kernels}"
        origin = f"torch {record.versions['torch']}, {record.date}, `{record.command}`{kernels}."
        made.setdefault(origin, []).append(f"`{record.part}`")
    if len(made) == 1:
        return next(iter(made))
    return "\n".join(f"- {', '.join(parts)}: {origin}" for origin, parts in made.items())


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table whose first column is text, and the others numbers."""
    lines = [head, [":---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def test_table(entries: Sequence[dict[str, Any]]) -> str:
    """How many ended how, and those that did not pass."""
    counts = Counter(entry["outcome"] for entry in entries)
    told = ", ".join(f"{number} {became}" for became, number in counts.items())
    others = [entry for entry in entries if entry["outcome"] != "passed"]
    rows = [[each["test"].split("::")[-1], each["outcome"], each["reason"]] for each in others]
    head = ["test", "outcome", "reason"]
    return f"{told}." + ("\n\n" + table(head, rows) if rows else "")


def suite_table(entries: Sequence[dict[str, Any]]) -> str:
    """What the suite judges."""
    return "\n".join(
        f"{each['rows']} rows, {each['networks']} networks each, in {each['seconds']:.0f} s; the "
        f"suite judges `{each['record']}`."
        for each in entries
    )


def step_table(entries: Sequence[dict[str, Any]]) -> str:
    """Ours over theirs; below 1 ours is the faster."""
    head = ["beside", "precision", "networks", "ms a step", "theirs", "ours over theirs, each"]
    return table(
        head,
        [
            [
                PEERS.get(each["peer"], each["peer"]),
                each["precision"],
                each["members"],
                f"{each['step_ms']:.3g}",
                f"{each['peer_ms']:.3g}",
                f"{each['ratio']:.3g}",
            ]
            for each in entries
        ],
    )


def capture_table(entries: Sequence[dict[str, Any]]) -> str:
    """Milliseconds a step."""
    return table(
        ["step", "networks", "ms"],
        [
            [
                each["variant"],
                each["members"],
                each["missing"] or f"{each['step_ms']:.3g}",
            ]
            for each in entries
        ],
    )


def stack_table(entries: Sequence[dict[str, Any]]) -> str:
    """By the number of networks."""
    notes = {
        "given": "",
        "planned": ", the largest training that is planned",
        "steps only": ", the largest that takes steps",
    }
    return table(
        ["networks", "ms a step", "ms a network", "GB at most"],
        [
            [
                f"{each['members']}{notes.get(each['stack'], '')}",
                f"{each['step_ms']:.3g}",
                f"{each['ms_a_network']:.3g}",
                f"{each['peak_gb']:.3g}",
            ]
            for each in entries
        ],
    )


def sparse_table(entries: Sequence[dict[str, Any]]) -> str:
    """Layers at `SHOWN_SPARSITY`, and whole networks."""
    shown = [e for e in entries if e["depth"] > 1 or e["sparsity"] == SHOWN_SPARSITY]
    return table(
        ["width x layers", "batch", "us dense", "us sparse", "dense over sparse"],
        [
            [
                f"{each['width']} x {each['depth']}",
                each["batch"],
                each["dense_us"],
                each["sparse_us"],
                f"{each['dense_us'] / each['sparse_us']:.2f}",
            ]
            for each in shown
        ],
    )


def epoch_table(entries: Sequence[dict[str, Any]]) -> str:
    """The last epoch of each group."""
    last = {each["group"]: each for each in entries}
    networks = {each["group"]: each["networks"] for each in reversed(entries)}
    return table(
        ["table", "networks", "still train", "epochs", "seconds", "accuracy on held-out images"],
        [
            [
                each["table"],
                networks[group],
                each["networks"],
                each["epoch"],
                f"{each['seconds']:.0f}",
                "{0:.3f} to {2:.3f}, median {1:.3f}".format(*each["accuracy"])
                if each["accuracy"]
                else "",
            ]
            for group, each in last.items()
        ],
    )


TABLES: dict[str, Callable[[Sequence[dict[str, Any]]], str]] = {
    "tests": test_table,
    "gradient-growth": suite_table,
    "convolutional": suite_table,
    "step": step_table,
    "capture": capture_table,
    "stack": stack_table,
    "sparse-inference": sparse_table,
    "tables": epoch_table,
}
