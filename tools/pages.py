"""Write what pages say of committed records, or check that they say it.

It writes ``results/table-*.md``, the parts of ``README.md`` and ``docs`` that stand between marks,
the pictures of ``docs/does-sparsity-pay.md`` and ``docs/forecast.md``, and those of the paper's
figures in ``docs/figures``. A picture carries a digest of what was drawn, and is written anew only
if that has changed. The counts of claims in the README and what ``docs/ledger.md`` says of verdicts
need a ledger:

    pytest --ledger=ledger.json
    python tools/pages.py --ledger ledger.json
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sparsity_theory as st
from property_tests.ledger.claims import EVIDENCE, VERDICTS, load_claims
from sparsity_theory.finite_width.failure import PAPER_TIME
from sparsity_theory.published.ranking import forecast_of
from sparsity_theory.published.tables import published_rows
from torch_models.experiments import blind
from torch_models.records.card import card_records
from torch_models.records.files import read_record
from torch_models.records.outcomes import FAILED
from torch_models.records.results import (
    RowSummary,
    TableSummary,
    find_records,
    largest_of_each_row,
    summarize,
)
from torch_models.records.run_record import RunRecord
from torch_models.reports import practice, sparse_inference
from torch_models.reports.canvas import stamp_of
from torch_models.reports.card import tables as card_tables
from torch_models.reports.drawing import save_small
from torch_models.reports.forecast_figure import Outcome, forecast_picture
from torch_models.reports.other_settings import other_settings
from torch_models.reports.page import anchors
from torch_models.reports.panels import Picture
from torch_models.reports.paper_figures.catalogue import NUMBERS, picture_of
from torch_models.reports.paper_figures.recorded import dense_summaries, of_papers_size
from torch_models.reports.tables import FORMATS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
CLAIMS = ROOT / "property_tests" / "claims.toml"
README = ROOT / "README.md"
DOCS = ROOT / "docs"
BENCHMARKS = DOCS / "benchmarks.md"
FIGURES = DOCS / "figures"
FORECAST = DOCS / "forecast.md"
GPU = DOCS / "gpu.md"
GALLERY = DOCS / "figures.md"
LEDGER = DOCS / "ledger.md"
MISPRINTS = DOCS / "misprints.md"
PRACTICE = DOCS / "practice.md"
PRECISION = DOCS / "precision.md"
RESULTS_PAGE = DOCS / "results.md"
SPARSE_INFERENCE = DOCS / "does-sparsity-pay.md"
TRAINED_TABLES = DOCS / "tables.md"

BLIND_SEEDS = (2026, 2027)
TABLES = (2, 4, 5)
SHOWN = {
    ("relu", 0.5, None),
    ("relu", 0.7, None),
    ("st", 0.6, None),
    ("crelu", 0.7, 0.7),
    ("crelu", 0.8, 0.9),
    ("crelu", 0.85, 0.7),
    ("crelu", 0.85, 0.9),
    ("cst", 0.7, 0.7),
    ("cst", 0.8, 0.9),
    ("cst", 0.85, 0.9),
}
"""Kind, sparsity and V'(q*) of the rows of Table 2 that `TRAINED_TABLES` shows."""

PRODUCTS = "bench_training.TrainingStep.track_step_over_its_products"
LOOPS = "bench_peers.Peers.track_ratio"
LOWER = "bench_training.Precision.track_step_over_float32"
ZEROS = "bench_inference.SparseInputs.track_sparse_over_dense"
PEERS = (
    ("a step's matrix products alone", "a step of one network", PRODUCTS, ("1 x 300 x 100", "cpu")),
    ("a step's matrix products alone", "a step of 4 at once", PRODUCTS, ("4 x 300 x 100", "cpu")),
    ("plain PyTorch, a network a time", "one network", LOOPS, ("eager", 1)),
    ("plain PyTorch, a network a time", "4 at once, each", LOOPS, ("eager", 4)),
    ("PyTorch Lightning, a network a time", "one network", LOOPS, ("lightning", 1)),
    ("PyTorch Lightning, a network a time", "4 at once, each", LOOPS, ("lightning", 4)),
    ("a step in float32", "a step in bf16", LOWER, ("bf16", "cpu")),
    ("`torch.nn.Linear`, 300 wide, one input", "using 85% zeros", ZEROS, (300, 1)),
    ("`torch.nn.Linear`, 2048 wide, one input", "using 85% zeros", ZEROS, (2048, 1)),
)
"""Peer, ours, benchmark and its parameters: rows of the table of ratios."""

ARITHMETIC = "bench_maps.OverArithmetic.track_map_over_arithmetic"
MAPS_MEASURED_ON = "amd-epyc-avx2-1-thread"
PEERS_MEASURED_ON = {
    "AVX2, 1 thread": "amd-epyc-avx2-1-thread",
    "AVX2, 2 threads": "amd-epyc-avx2-2-threads",
    "bf16, 1 thread": "amd-epyc-bf16-1-thread",
    "bf16, 2 threads": "amd-epyc-bf16-2-threads",
}
SPARSE_INFERENCE_MEASURED_ON = "amd-epyc-1-thread"


def runs_in(folder: str) -> list[RunRecord]:
    """The records of runs in a folder of ``results``."""
    found = find_records([RESULTS / folder])
    if found.left_out:
        raise SystemExit(f"error: {found.left_out[0]}")
    return found.records


def pages(
    records: Sequence[RunRecord], figures: dict[Path, Picture], ledger: Path | None
) -> dict[Path, str]:
    """What each page should hold."""
    wanted = {
        RESULTS / f"table-{number}.md": FORMATS["markdown"](summarize(records, number))
        for number in TABLES
    }
    if ledger is not None:
        claims = complete(json.loads(ledger.read_text(encoding="utf-8")))
        wanted[README] = page(README, {"counts": total(claims)})
        parts = {"counts": counts(claims), "trained": trained(claims)}
        wanted[LEDGER] = page(LEDGER, parts)
    wanted[MISPRINTS] = page(MISPRINTS, {"misprints": misprints()})
    wanted[TRAINED_TABLES] = page(TRAINED_TABLES, {"table": part_of_table_2(records)})
    sizes = {f"table {number}": at_papers_size(records, number) for number in (2, 5)}
    search = other_settings(runs_in("search"))
    wanted[RESULTS_PAGE] = page(RESULTS_PAGE, {**sizes, "other settings": search})
    wanted[BENCHMARKS] = page(BENCHMARKS, {"maps": maps(), "peers": peers()})
    wanted[PRECISION] = page(
        PRECISION, {"table": precision(read_record(RESULTS / "precision.json"))}
    )
    scores = {f"score of {seed}": blind_score(seed) for seed in BLIND_SEEDS}
    wanted[FORECAST] = page(FORECAST, scores)
    tables = sparse_inference.tables(sparse_inference_record())
    wanted[SPARSE_INFERENCE] = page(SPARSE_INFERENCE, {"tables": tables})
    wanted[GPU] = page(GPU, {"cards": card_tables(card_records(ROOT))})
    wanted[GALLERY] = page(GALLERY, {"figures": gallery(figures)})
    wanted[PRACTICE] = page(PRACTICE, of_practice())
    return wanted


def paper_figures(records: Sequence[RunRecord]) -> dict[Path, Picture]:
    """The figures of the paper, by the files that they are drawn to."""
    summaries = dense_summaries(records)
    return {FIGURES / f"figure-{n}.png": picture_of(n, summaries) for n in NUMBERS}


def gallery(figures: dict[Path, Picture]) -> str:
    """Every figure with its caption."""
    parts = []
    for path, picture in figures.items():
        name = path.stem.replace("-", " ").capitalize()
        parts.append(f"## {name}\n\n![{name}]({path.relative_to(GALLERY.parent).as_posix()})")
        parts.append(textwrap.fill(picture.caption, 104, break_on_hyphens=False))
    return "\n\n".join(parts)


def of_practice() -> dict[str, str]:
    """The tables of what was trained and timed beyond the paper."""
    transformers = RESULTS / "transformers"
    speed = transformers / f"speed-{SPARSE_INFERENCE_MEASURED_ON}.json"
    return {
        "transformers": practice.transformer_table(
            read_record(transformers / "python-topics.json")
        ),
        "speed": practice.speed_table(read_record(speed)),
        "residual": practice.residual_table(read_record(RESULTS / "residual" / "mnist.json")),
    }


def blind_records(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The forecasts that were made blind, and what came out."""
    folder = RESULTS / "blind" / f"seed-{seed}"
    return read_record(folder / "forecasts.json"), read_record(folder / "outcomes.json")


def blind_score(seed: int) -> str:
    """How the forecasts of ``results/blind`` fared, in words, as a block of code."""
    return "\n".join(["```", *blind.score(*blind_records(seed)).lines(), "```"])


def our_figures(records: Sequence[RunRecord]) -> dict[Path, Picture]:
    """The pictures of our own pages, by the files that they are drawn to."""
    return {
        FORECAST.with_suffix(".png"): forecast_figure(records),
        SPARSE_INFERENCE.with_suffix(".png"): sparse_inference.speedup_picture(
            sparse_inference_record()
        ),
    }


def forecast_figure(records: Sequence[RunRecord]) -> Picture:
    """The published rows, our own, and the blind settings beside their forecasts."""
    published = [row for number in TABLES for row in published_rows(number)]
    of_paper = [
        forecast_outcome(forecast_of(row), row.dnn.accuracy_mean, row.failed) for row in published
    ]
    ours = []
    for number in TABLES:
        (summary,) = summarize(records, number, "dnn", "short")
        for row in summary.rows:
            design, experiment = row.published.design, row.records[0].run.experiment
            size = experiment.width, experiment.depth
            time = row.records[0].training_time
            found = st.forecast(design.net(), *size, q0=design.input_variance(), training_time=time)
            failed = row.failures > len(row.records) / 2
            ours.append(forecast_outcome(found, row.ours.accuracy_mean, failed, time))
    told, seen = blind_records(BLIND_SEEDS[-1])
    drawn_blind = [
        Outcome(
            -10.0
            if setting["forecast"]["learnability"] is None
            else learned_in(setting["forecast"]["learnability"], told["training_time"]),
            setting["forecast"]["failure_probability"],
            outcome["accuracy"],
            outcome["outcome"] in FAILED,
        )
        for setting, outcome in zip(told["settings"], seen["outcomes"], strict=True)
    ]
    return forecast_picture(
        {"the paper's rows": of_paper, "ours, smaller": ours, "drawn blind": drawn_blind}
    )


def forecast_outcome(
    found: st.Forecast, accuracy: float, failed: bool, time: float = PAPER_TIME
) -> Outcome:
    """A point of the picture, for a dense network that was trained for a time."""
    assert found.learnability is not None
    learned = learned_in(found.learnability, time)
    return Outcome(learned, found.failure_probability, accuracy, failed)


def learned_in(learnability: float, time: float) -> float:
    """The learnability of a network that learns as much in the paper's training time."""
    return learnability + math.log10(time / PAPER_TIME)


def page(path: Path, parts: dict[str, str]) -> str:
    """The page with each part, between empty lines, between its two marks.

    Raises:
        SystemExit: if the page does not have the marks of a part.
    """
    text = path.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name}: python tools/pages.py -->", f"<!-- end of {name} -->"
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise SystemExit(f"error: {path.name} needs the marks {begin} and {end}")
        text = f"{before}{begin}\n\n{part.strip()}\n\n{end}{after}"
    return text


def part_of_table_2(records: Sequence[RunRecord]) -> str:
    """The rows in ``SHOWN`` of dense networks, each at the largest size that it has records of."""
    rows = largest_of_each_row(summarize(records, 2, "dnn"))
    return one_line_a_row([(summary, row) for summary, row in rows if is_shown(row)])


def at_papers_size(records: Sequence[RunRecord], number: int) -> str:
    """The rows of dense networks that are as wide and as deep as the paper's."""
    summaries = [each for each in summarize(records, number, "dnn") if each.group]
    return one_line_a_row(largest_of_each_row([s for s in summaries if of_papers_size(s)]))


def one_line_a_row(rows: Sequence[tuple[TableSummary, RowSummary]]) -> str:
    """Rows of a table, each from a summary of its own."""
    lines: dict[str, None] = {}  # as a set in order: the head is every row's
    for summary, row in rows:
        table = FORMATS["markdown"]([replace(summary, rows=(row,))])
        lines |= dict.fromkeys(line for line in table.splitlines() if line.startswith("|"))
    return "\n".join(lines)


def is_shown(row: RowSummary) -> bool:
    """Whether the page of trained tables has this row."""
    design = row.published.design
    return (design.kind, design.sparsity, design.slope) in SHOWN


def peers() -> str:
    """Our time over a peer's."""
    files = [RESULTS / "benchmarks" / f"{kind}.json" for kind in PEERS_MEASURED_ON.values()]
    machines = [read_record(file) for file in files]
    columns = " | ".join(PEERS_MEASURED_ON)
    lines = [f"| peer | ours | {columns} | `asv run --python=same --bench ...` |"]
    lines.append(f"| :--- | :--- |{' ---: |' * len(machines)} :--- |")
    for peer, ours, benchmark, parameters in PEERS:
        ratios = [ratio(machine, benchmark, parameters) for machine in machines]
        command = benchmark.split(".", 1)[1]
        lines.append(f"| {peer} | {ours} | {' | '.join(ratios)} | `{command}` |")
    return "\n".join(lines)


def maps() -> str:
    """The time of every map over that of its arithmetic."""
    machine = read_record(RESULTS / "benchmarks" / f"{MAPS_MEASURED_ON}.json")
    names = list(dict.fromkeys(name for _, name, _ in machine[ARITHMETIC]["rows"]))
    lines = [f"| | {' | '.join(names)} |", f"| :--- |{' ---: |' * len(names)}"]
    for kind, activation in st.ACTIVATIONS.items():
        ratios = [ratio(machine, ARITHMETIC, (kind, name)) for name in names]
        lines.append(f"| {activation.label} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def ratio(machine: dict[str, Any], benchmark: str, parameters: tuple[Any, ...]) -> str:
    """The ratio with two decimals; nothing where it was not measured."""
    rows = machine.get(benchmark, {"rows": []})["rows"]
    return "".join(f"{value:.2f}" for *place, value in rows if tuple(place) == parameters)


def complete(ledger: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims of a ledger.

    Raises:
        SystemExit: for the ledger of a partial run, whose counts say nothing.
    """
    if not ledger["run"]["complete"]:
        raise SystemExit("error: a partial run's ledger; run pytest without -k, -m or files")
    claims: list[dict[str, Any]] = ledger["claims"]
    return claims


def total(claims: Sequence[dict[str, Any]]) -> str:
    """How many claims there are, and how many have each verdict, in one sentence."""
    verdicts = Counter(claim["verdict"] for claim in claims)
    sources = Counter(claim["source"] for claim in claims)
    shown = ", ".join(
        f"{verdicts[verdict]} {verdict}" for verdict in VERDICTS[::-1] if verdicts[verdict]
    )
    return f"{sources['paper']} claims of the paper, {sources['library']} of this library: {shown}."


def counts(claims: Sequence[dict[str, Any]]) -> str:
    """That, and the verified claims by kind of evidence."""
    verified = Counter(claim["evidence"] for claim in claims if claim["verdict"] == "verified")
    rows = [f"| {kind} | {verified[kind]} |" for kind in EVIDENCE if verified[kind]]
    return "\n".join([total(claims), "", "| evidence | verified |", "| --- | ---: |", *rows])


def trained(claims: Sequence[dict[str, Any]]) -> str:
    """The claims that rest on trained networks, with their verdict and the grounds for it."""
    places = anchors(claim["id"] for claim in claims)
    lines = ["| claim | verdict | on what grounds |", "| :--- | :--- | :--- |"]
    for claim in claims:
        if claim["admits"] == "trained":
            link = f"[{claim['id']}](ledger.md#{places[claim['id']]})"
            lines.append(f"| {link} | {claim['verdict']} | {escaped(claim['reason'])} |")
    return "\n".join(lines)


def misprints() -> str:
    """What is misprinted, and what must be meant, in the order of the paper."""
    claims = load_claims(CLAIMS)
    places = anchors(claims)
    lines = ["| where | printed, and meant | where it matters |", "| :--- | :--- | :--- |"]
    for claim in claims.values():
        if claim.evidence == "misprint":
            name = escaped(claim.id.removeprefix("Misprint "))
            link = f"[{name}](ledger.md#{places[claim.id]})"
            lines.append(f"| {link} | {escaped(claim.statement)} | {escaped(claim.domain)} |")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """The text of a claim for the cell of a table."""
    return re.sub(r"[*|]", r"\\\g<0>", text)


def precision(record: dict[str, Any]) -> str:
    """The median and the largest error of Table 2's rows that train, and of those that fail."""
    lines = ["| rows | precision | q^l off by | shifted by | sparsity off by | shifted by |"]
    lines.append("| :--- | :--- | ---: | ---: | ---: | ---: |")
    for title, failed in (("that train", False), ("that fail", True)):
        published = [each for each in published_rows(2) if each.failed == failed]
        rows = [record["rows"][each.design.slug] for each in published]
        for name in rows[0]:
            cells = [
                median_and_largest([row[name][error] for row in rows])
                for error in ("variance", "variance_shift", "sparsity", "sparsity_shift")
            ]
            lines.append(f"| {len(rows)} {title} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def median_and_largest(errors: Sequence[float]) -> str:
    """By absolute value."""
    ascending = sorted(errors, key=abs)
    return f"{ascending[len(errors) // 2]:.1e} (at most {ascending[-1]:.1e})"


def sparse_inference_record() -> dict[str, Any]:
    """What the page about sparse inference is made from."""
    return read_record(RESULTS / "sparse-inference" / f"{SPARSE_INFERENCE_MEASURED_ON}.json")


def differs(path: Path, wanted: str) -> bool:
    """Whether the page is not as it should be; if so, how, on standard error."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text != wanted:
        print(f"error: {path.relative_to(ROOT)} is not what the records say:", file=sys.stderr)
        diff = difflib.unified_diff(text.splitlines(), wanted.splitlines(), n=0, lineterm="")
        print("\n".join(diff), file=sys.stderr)
    return text != wanted


def drawn_otherwise(pictures: dict[Path, Picture]) -> list[Path]:
    """The pictures that are missing, or were drawn from other numbers."""
    return [path for path, picture in pictures.items() if stamp_of(path) != picture.stamp]


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ledger", type=Path, help="a whole run's ledger, as JSON")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    chosen = parser.parse_args()
    records = runs_in("records")
    figures = paper_figures(records)
    wanted = pages(records, figures, chosen.ledger)
    pictures = figures | our_figures(records)
    redrawn = drawn_otherwise(pictures)
    if chosen.check:
        for path in redrawn:
            print(f"error: {path.relative_to(ROOT)} does not show what it should", file=sys.stderr)
        others = [path for path, text in wanted.items() if differs(path, text)]
        return int(bool(others or redrawn))
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for path in redrawn:
        save_small(pictures[path], path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
