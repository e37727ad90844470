"""Test the forecast blind: draw settings, forecast them, train them, score.

    python tools/blind.py forecast 2027  # results/blind/seed-2027/forecasts.json: commit it, then
    python tools/blind.py train 2027     # results/blind/seed-2027/outcomes.json, resumes
    python tools/blind.py score 2027

What is forecast is not to be changed once a network of it has been trained: ``train`` keeps the
checksum of the forecasts, and refuses others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from torch_models.experiments import blind
from torch_models.records.files import ensure_writable, read_record, write_record

FOLDER = Path(__file__).parents[1] / "results" / "blind"
"""Has a folder for every seed."""


def folder_of(chosen: argparse.Namespace) -> Path:
    """The folder of a seed's files."""
    folder: Path = chosen.folder / f"seed-{chosen.seed}"
    return folder


def forecast(chosen: argparse.Namespace) -> None:
    """Draw settings at random and write what is forecast of them."""
    path = folder_of(chosen) / "forecasts.json"
    if path.exists():
        raise SystemExit(f"error: {path} is there already, and what was forecast stands")
    ensure_writable(path.parent)
    write_record(path, blind.forecast_settings(chosen.seed, chosen.count, blind.Budget()))
    print(f"{chosen.count} forecasts in {path}")


def train(chosen: argparse.Namespace) -> None:
    """Train a network of every setting, one after the other."""
    torch.set_num_threads(chosen.threads)
    folder = folder_of(chosen)
    blind.train_settings(folder / "forecasts.json", folder / "outcomes.json", print)


def score(chosen: argparse.Namespace) -> None:
    """Hold what came out against the forecasts."""
    folder = folder_of(chosen)
    told, seen = (read_record(folder / f"{name}.json") for name in ("forecasts", "outcomes"))
    print("\n".join(blind.score(told, seen).lines()))


def arguments() -> argparse.Namespace:
    """The command line; ``run`` is the function of the chosen step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(metavar="STEP", required=True)
    for run in (forecast, train, score):
        step = steps.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        step.set_defaults(run=run)
        step.add_argument("seed", type=int, help="of settings and forecasts")
        step.add_argument("--folder", type=Path, default=FOLDER, help="results/blind if not given")
        if run is forecast:
            step.add_argument("--count", type=int, default=90, help="how many settings")
        if run is train:
            step.add_argument("--threads", type=int, default=1, help="threads that torch uses")
    return parser.parse_args()


def main() -> None:
    """Run the step."""
    chosen = arguments()
    chosen.run(chosen)


if __name__ == "__main__":
    main()
