"""Tables of the records of transformers and residual networks that were trained."""

from __future__ import annotations

import statistics
from typing import Any

LABELS = {"gelu": "GELU", "relu": "ReLU_tau", "st": "ST", "crelu": "CReLU", "cst": "CST"}
ARCHITECTURES = ("plain", "residual", "rescaled", "pre-norm")


def label(network: dict[str, Any]) -> str:
    """An activation with its sparsity; ReLU itself by its name."""
    if network["sparsity"] is None:
        return LABELS[network["kind"]]
    if (network["kind"], network["sparsity"]) == ("relu", 0.5):
        return "ReLU, s=0.5"
    return f"{LABELS[network['kind']]}, s={network['sparsity']:g}"


def transformer_table(record: dict[str, Any]) -> str:
    """Loss and sparsity of every trained transformer, ordered by kind and sparsity."""
    order = list(LABELS)
    networks = sorted(
        record["networks"],
        key=lambda each: (order.index(each["kind"]), each["sparsity"] or 0, each["seed"]),
    )
    lines = ["| activation of the MLPs | seed | loss | sparsity before | after | by MLP |"]
    lines.append("| :--- | ---: | ---: | ---: | ---: | :--- |")
    for each in networks:
        before, after = each["sparsity_before"], each["sparsity_after"]
        of_mlps = " ".join(f"{share:.2f}" for share in after)
        cells = [
            label(each),
            str(each["seed"]),
            f"{each['validation_loss']:.3f}",
            f"{statistics.mean(before):.3f}",
            f"{statistics.mean(after):.3f}",
            of_mlps,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def speed_table(record: dict[str, Any]) -> str:
    """Dense time over sparse time of every model."""
    lines = ["| width | blocks | s | tokens/s dense | sparse | ratio | quartiles | weights alone |"]
    lines.append("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for each in record["models"]:
        low, high = each["quartiles"]
        cells = [
            str(each["width"]),
            str(each["depth"]),
            f"{each['sparsity']:g}",
            f"{each['dense_tokens_per_second']:.0f}",
            f"{each['sparse_tokens_per_second']:.0f}",
            f"{each['ratio']:.2f}",
            f"{low:.2f} to {high:.2f}",
            f"{each['bound']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def residual_table(record: dict[str, Any]) -> str:
    """A row for every activation, a column for every architecture: accuracy and last sparsity."""
    trained = {each["architecture"] for each in record["networks"]}
    columns = [architecture for architecture in ARCHITECTURES if architecture in trained]
    rows = dict.fromkeys((each["kind"], each["sparsity"]) for each in record["networks"])
    cells = {
        (each["kind"], each["sparsity"], each["architecture"]): residual_cell(each)
        for each in record["networks"]
    }
    lines = [f"| activation | {' | '.join(columns)} |", f"| :--- |{' :--- |' * len(columns)}"]
    for kind, sparsity in sorted(rows):
        named = label({"kind": kind, "sparsity": sparsity})
        shown = [cells.get((kind, sparsity, column), "") for column in columns]
        lines.append(f"| {named} | {' | '.join(shown)} |")
    return "\n".join(lines)


def residual_cell(network: dict[str, Any]) -> str:
    """Mean accuracy over seeds and sparsity over layers; or when the networks diverged."""
    steps = [step for step in network["diverged"] if step is not None]
    if steps:
        return f"diverged at step {', '.join(map(str, steps))}"
    accuracy = statistics.mean(network["accuracy"])
    before, after = (
        statistics.mean(statistics.mean(layers) for layers in network[name])
        for name in ("sparsity_before", "sparsity_after")
    )
    return f"{accuracy:.3f}, {before:.2f} -> {after:.2f}"
