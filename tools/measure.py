"""Measure something once, and write the record of it that pages and tests read.

    python tools/measure.py precision                         # results/precision.json
    python tools/measure.py sparse-inference --threads 1      # results/sparse-inference/...json
    python tools/measure.py transformers                      # results/transformers/...json
    python tools/measure.py transformer-speed                 # results/transformers/...json
    python tools/measure.py residual --data-dir FOLDER        # results/residual/mnist.json
    python tools/measure.py gradient-growth --device cuda     # property_tests/records/...json
    python tools/measure.py convolutional --device cuda       # property_tests/records/...json

``python tools/pages.py`` then renews the pages about it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from torch_models.data import load_dataset
from torch_models.data.text import load_python_topics
from torch_models.experiments.provenance import hardware
from torch_models.measurements import (
    convolutional,
    gradient_growth,
    precision,
    residual,
    sparse_inference,
    transformer_speed,
    transformers,
)
from torch_models.records.card import slug_of
from torch_models.records.files import ensure_writable, write_record

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
SUITE_RECORDS = ROOT / "property_tests" / "records"

SIZES = {"gradient-growth": gradient_growth.PAPER_SIZE, "convolutional": convolutional.PAPER_SIZE}

THREADED = ("sparse-inference", "transformers", "transformer-speed", "residual")
"""Measurements that say how many threads they use."""

OnStep = Callable[[str], None]


def record_precision(chosen: argparse.Namespace, on_step: OnStep) -> Path:
    """Rounding errors in random networks (four minutes on one core)."""
    path = RESULTS / "precision.json"
    record = precision.measure(on_step)
    write_record(path, {"command": "python tools/measure.py precision", **record})
    return path


def record_sparse_inference(chosen: argparse.Namespace, on_step: OnStep) -> Path:
    """Times of layers and networks that use the zeros of phi(h) (six minutes, 4 GB of memory)."""
    folder, threads = RESULTS / "sparse-inference", chosen.threads
    ensure_writable(folder)
    torch.set_num_threads(threads)
    record = sparse_inference.measure(on_step=on_step)
    path = folder / f"{machine(threads)}.json"
    command = f"python tools/measure.py sparse-inference --threads {threads}"
    write_record(path, {"command": command, **record})
    return path


def record_transformers(chosen: argparse.Namespace, on_step: OnStep) -> Path:
    """Small transformers trained on text (a quarter of an hour on one core; it resumes)."""
    path = RESULTS / "transformers" / "python-topics.json"
    ensure_writable(path.parent)
    torch.set_num_threads(chosen.threads)
    transformers.train_settings(path, load_python_topics(), transformers.Budget(), on_step=on_step)
    return path


def record_transformer_speed(chosen: argparse.Namespace, on_step: OnStep) -> Path:
    """Tokens a second of transformers that use their zeros (a minute on one core)."""
    folder, threads = RESULTS / "transformers", chosen.threads
    ensure_writable(folder)
    torch.set_num_threads(threads)
    path = folder / f"speed-{machine(threads)}.json"
    write_record(path, transformer_speed.measure(on_step=on_step))
    return path


def record_residual(chosen: argparse.Namespace, on_step: OnStep) -> Path:
    """Deep networks with and without skips on MNIST (a quarter of an hour; it resumes)."""
    path = RESULTS / "residual" / "mnist.json"
    ensure_writable(path.parent)
    torch.set_num_threads(chosen.threads)
    dataset = load_dataset("mnist", chosen.data_dir)
    residual.train_settings(path, dataset, residual.Budget(), on_step=on_step)
    return path


def machine(threads: int) -> str:
    """The processor with so many threads, as file names have it."""
    return f"{slug_of(hardware()['processor'])}-{threads}-thread{'s' * (threads > 1)}"


def record_gradient_growth(chosen: argparse.Namespace, on_step: OnStep) -> Path:
    """Growth of gradients in random networks, for the tests (ten minutes on one core)."""
    ensure_writable(SUITE_RECORDS)
    size = chosen.width, chosen.depth, chosen.networks
    record = gradient_growth.measure(*size, chosen.device, on_step)
    path = SUITE_RECORDS / f"gradient_growth_{chosen.device}.json"
    write_record(path, record)
    return path


def record_convolutional(chosen: argparse.Namespace, on_step: OnStep) -> Path:
    """Convolutional networks of the paper's size at initialization (half an hour on one core)."""
    ensure_writable(SUITE_RECORDS)
    size = chosen.channels, chosen.depth, chosen.side, chosen.networks
    record = convolutional.measure(*size, chosen.device, on_step)
    path = SUITE_RECORDS / f"convolutional_{chosen.device}.json"
    write_record(path, record)
    return path


def arguments() -> argparse.Namespace:
    """The command line; ``run`` is the function of the chosen name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = parser.add_subparsers(metavar="NAME", required=True)
    for name, run in (
        ("precision", record_precision),
        ("sparse-inference", record_sparse_inference),
        ("transformers", record_transformers),
        ("transformer-speed", record_transformer_speed),
        ("residual", record_residual),
        ("gradient-growth", record_gradient_growth),
        ("convolutional", record_convolutional),
    ):
        of_name = names.add_parser(name, help=run.__doc__, description=run.__doc__)
        of_name.set_defaults(run=run)
        if name in THREADED:
            of_name.add_argument("--threads", type=int, default=1, help="threads that torch uses")
        if name == "residual":
            of_name.add_argument("--data-dir", type=Path, help="the official files; OpenML if none")
        if name in SIZES:
            of_name.add_argument("--device", default="cpu", help="cpu or cuda")
            for size, default in SIZES[name].items():
                of_name.add_argument(f"--{size}", type=int, default=default)
    return parser.parse_args()


def main() -> None:
    """Measure and write."""
    chosen = arguments()
    with Console(stderr=True).status("") as status:
        path = chosen.run(chosen, status.update)
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
