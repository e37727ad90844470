"""A blind test of the forecast: settings drawn at random, forecast first and trained afterwards.

Everything that the outcome of the test depends on is fixed before the first network is trained: the
settings by a seed, the budget and what counts as failed and as right here, the forecasts in a file
that training never changes.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

import sparsity_theory as st
from sparsity_theory.published.ranking import area_under_curve
from sparsity_theory.published.rows import Design, expected_sparsity
from torch_models.data import Dataset, load_dataset
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import evaluate
from torch_models.records.files import read_record, write_record
from torch_models.records.outcomes import FAILED, kept_within, outcome_of
from torch_models.records.runs import training_time
from torch_models.training.loop import Training
from torch_models.training.schedule import Schedule

KINDS = ("crelu", "cst", "relu", "crelu", "cst", "st")
"""Kinds in turn; the clipped ones, which have a V'(q*) to choose, twice as often."""

SPARSITIES, SLOPES = (0.5, 0.95), (0.3, 0.97)
WIDTHS, DEPTHS = (50, 400), (20, 100)
FIXED_POINTS = (0.5, 1.0, 2.0)

DIGITS = 6
"""Significant digits of the numbers in files."""

EXPLODES = "explodes"
"""The outcome of a forecast that learnability does not speak of."""

BINS = (0.0, 0.05, 0.2, 0.5, 0.8, 1.0)
"""Ends of the bins of failure probabilities."""


@dataclass(frozen=True)
class Budget:
    """How every setting is trained: on one data set by plain SGD, with equal steps."""

    data: str = "digits"
    epochs: int = 30
    learning_rate: float = 2e-3
    batch_size: int = 32
    networks_seed: int = 0

    def training_time(self, images: int) -> float:
        """The learning rate times the steps that it takes on so many images."""
        return training_time(self.learning_rate, self.epochs, self.batch_size, images)


@dataclass(frozen=True)
class Setting:
    """One initialization and size of networks."""

    kind: str
    sparsity: float
    slope: float | None
    q_star: float
    width: int
    depth: int

    @property
    def design(self) -> Design:
        """The activation that it has."""
        return Design(self.kind, self.sparsity, self.slope)

    def forecast(self, networks: int, seed: int, training_time: float) -> st.Forecast:
        """What the theory says of it."""
        return st.forecast(
            self.design.net(self.q_star),
            self.width,
            self.depth,
            networks,
            seed,
            self.design.input_variance(self.q_star),
            training_time=training_time,
        )


def draw_settings(seed: int, count: int) -> list[Setting]:
    """Settings drawn at random, uniformly in s and V' and in the logarithms of width and depth.

    Sparsities and slopes have two digits, widths are multiples of four.

    Raises:
        ValueError: for a negative seed, or a count below 1.
    """
    if seed < 0 or count < 1:
        raise ValueError(f"seed must be at least 0 and count at least 1, got {seed} and {count}")
    rng = np.random.default_rng(seed)

    def log_uniform(low: int, high: int) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    settings = []
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        sparsity, slope = (round(float(rng.uniform(*ends)), 2) for ends in (SPARSITIES, SLOPES))
        settings.append(
            Setting(
                kind,
                sparsity,
                slope if st.ACTIVATIONS[kind].clipped else None,
                float(rng.choice(FIXED_POINTS)),
                4 * round(log_uniform(*WIDTHS) / 4),
                round(log_uniform(*DEPTHS)),
            )
        )
    return settings


def forecast_settings(
    seed: int, count: int, budget: Budget, networks: int = 1000
) -> dict[str, Any]:
    """The record of all settings with their forecasts; the forecasts' seed is ``seed`` too."""
    time = budget.training_time(len(load_dataset(budget.data, None).train_y))
    return {
        "seed": seed,
        "networks": networks,
        "budget": asdict(budget),
        "training_time": _rounded(time),
        "settings": [
            {**asdict(setting), "forecast": _told(setting.forecast(networks, seed, time))}
            for setting in draw_settings(seed, count)
        ],
    }


def train_settings(
    forecasts: Path, outcomes: Path, on_outcome: Callable[[str], None] = lambda line: None
) -> None:
    """Train one network of every setting of a file of forecasts, and write how each ended.

    ``outcomes`` is written after every network; those that it has already are not trained again.

    Raises:
        ValueError: if ``outcomes`` belongs to other forecasts.
    """
    told = read_record(forecasts)
    digest = hashlib.sha256(forecasts.read_bytes()).hexdigest()
    record: dict[str, Any] = {"forecasts": digest, "outcomes": []}
    if outcomes.exists():
        record = read_record(outcomes)
        if record["forecasts"] != digest:
            raise ValueError(f"{outcomes} has the outcomes of other forecasts than {forecasts}")
    budget, settings = Budget(**told["budget"]), settings_of(told)
    dataset = load_dataset(budget.data, None)
    for index in range(len(record["outcomes"]), len(settings)):
        found = train_setting(settings[index], dataset, budget)
        record["outcomes"].append(found)
        write_record(outcomes, record)
        label = f"{settings[index].design.label} {settings[index].width} x {settings[index].depth}"
        on_outcome(f"{index + 1} of {len(settings)}: {label}: {found['outcome']}")


@dataclass(frozen=True)
class Score:
    """What came out, held against what was forecast.

    A network failed if it diverged or lost its sparsity; the others are sound. A forecast is right
    if what it expects to train does; what it expects to learn slowly, or to be dead, neither fails
    nor learns; and what it expects to explode does not learn, whether it fails or stays at chance.

    Attributes:
        settings: how many were trained.
        right: how many of them ended as was forecast.
        auc: the probability that a network that failed had the higher failure probability.
        expected: the sum of the failure probabilities.
        observed: the networks that failed.
        brier: the mean square of failure probability less outcome (1 or 0).
        bins: least and largest failure probability, settings, expected and observed failures.
        sound: how many networks did not fail.
        by_loss: Spearman's rank correlation of learnability with minus the last training loss, over
            the sound ones.
        by_accuracy: the same with accuracy.
        stable: how many sound networks were not forecast to explode.
        by_loss_of_stable: the rank correlation of learnability, which speaks of these alone, with
            minus their loss.
    """

    settings: int
    right: int
    auc: float
    expected: float
    observed: int
    brier: float
    bins: tuple[tuple[float, float, int, float, int], ...]
    sound: int
    by_loss: float
    by_accuracy: float
    stable: int
    by_loss_of_stable: float

    def lines(self) -> list[str]:
        """The score in words."""
        return [
            f"{self.settings} settings, {self.right} ended as forecast; {self.observed} failed "
            f"where {self.expected:.1f} were expected; AUC {self.auc:.3f}, Brier score "
            f"{self.brier:.3f}",
            *(
                f"  forecast {low:.0%} to {high:.0%}: {observed} of {count} failed, "
                f"{expected:.1f} expected"
                for low, high, count, expected, observed in self.bins
            ),
            f"{self.sound} did not fail; Spearman's rank correlation of learnability with "
            f"the loss reached {self.by_loss:.3f}, with accuracy {self.by_accuracy:.3f}",
            f"{self.stable} of them were not forecast to explode, as learnability supposes; with "
            f"their loss {self.by_loss_of_stable:.3f}",
        ]


def score(told: dict[str, Any], seen: dict[str, Any]) -> Score:
    """Score the record of forecasts by that of outcomes, as far as it goes.

    Raises:
        ValueError: if nothing failed, or nothing did not.
    """
    outcomes = seen["outcomes"]
    forecasts = [setting["forecast"] for setting in told["settings"][: len(outcomes)]]
    chance = np.array([each["failure_probability"] for each in forecasts])
    failed = np.array([each["outcome"] in FAILED for each in outcomes])
    if np.all(failed) or not np.any(failed):
        raise ValueError(f"some networks must fail and some not, got {failed.sum()} that failed")
    pairs = zip(forecasts, outcomes, failed, strict=True)
    sound = [(forecast, outcome) for forecast, outcome, fails in pairs if not fails]
    stable = [(forecast, outcome) for forecast, outcome in sound if forecast["outcome"] != EXPLODES]
    return Score(
        settings=len(outcomes),
        right=sum(
            _ended_as(forecast["outcome"], outcome["outcome"])
            for forecast, outcome in zip(forecasts, outcomes, strict=True)
        ),
        auc=area_under_curve(chance.tolist(), failed.tolist()),
        expected=float(chance.sum()),
        observed=int(failed.sum()),
        brier=float(np.mean((chance - failed) ** 2)),
        bins=tuple(_bins(chance, failed)),
        sound=len(sound),
        by_loss=_rank_correlation(sound, "loss", -1.0),
        by_accuracy=_rank_correlation(sound, "accuracy"),
        stable=len(stable),
        by_loss_of_stable=_rank_correlation(stable, "loss", -1.0),
    )


def _ended_as(forecast: str, outcome: str) -> bool:
    """Whether a network ended as its forecast says."""
    if forecast == "trains":
        return outcome == "trained"
    if forecast == EXPLODES:
        return outcome != "trained"
    return outcome == "not learned"


def _bins(
    chance: NDArray[np.float64], failed: NDArray[np.bool_]
) -> Iterator[tuple[float, float, int, float, int]]:
    place = np.digitize(chance, BINS[1:-1])
    for index, (low, high) in enumerate(pairwise(BINS)):
        inside = place == index
        yield low, high, int(inside.sum()), float(chance[inside].sum()), int(failed[inside].sum())


def _rank_correlation(
    pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], name: str, sign: float = 1.0
) -> float:
    """Of learnability (null is -inf) with sign times a number of the outcome."""
    learning = [
        -np.inf if forecast["learnability"] is None else forecast["learnability"]
        for forecast, _ in pairs
    ]
    numbers = [sign * outcome[name] for _, outcome in pairs]
    return float(scipy.stats.spearmanr(learning, numbers).statistic)


def settings_of(told: dict[str, Any]) -> list[Setting]:
    """The settings of a record of forecasts."""
    names = Setting.__dataclass_fields__
    return [Setting(**{name: each[name] for name in names}) for each in told["settings"]]


def train_setting(setting: Setting, dataset: Dataset, budget: Budget) -> dict[str, Any]:
    """Train one network of a setting; how it ended, with its last training loss."""
    began = time.perf_counter()
    design, q_star = setting.design, setting.q_star
    ensemble = DenseEnsemble(
        [design.net(q_star)],
        dataset.features,
        setting.width,
        setting.depth,
        dataset.classes,
        [budget.networks_seed],
        input_scales=[math.sqrt(design.input_variance(q_star))],
    )
    schedule = Schedule(budget.epochs, budget.learning_rate, budget.batch_size, 0)
    training = Training(ensemble, dataset, schedule)
    while not training.finished:
        training.advance()
    training.write_back()
    tested = evaluate(ensemble, dataset.test_x, dataset.test_y)
    (divergence,) = training.divergences
    sparsity, accuracy = float(tested.sparsity[0].mean()), float(tested.accuracy[0])
    distance = abs(sparsity - expected_sparsity(design, setting.depth))
    kind = None if divergence is None else divergence.kind
    losses = list(_finite(each.loss[0] for each in training.epochs))
    return {
        "outcome": outcome_of(kind, distance <= kept_within(setting.width), accuracy),
        "divergence": None if divergence is None else asdict(divergence),
        "accuracy": _rounded(accuracy),
        "sparsity": _rounded(sparsity),
        "loss": _rounded(losses[-1]) if losses else None,
        "losses": [_rounded(loss) for loss in losses],
        "seconds": round(time.perf_counter() - began, 1),
    }


def _finite(losses: Iterator[Any]) -> Iterator[float]:
    return (float(loss) for loss in losses if math.isfinite(loss))


def _told(found: st.Forecast) -> dict[str, Any]:
    """What a forecast says, as JSON has it; -inf and inf are null."""
    numbers: dict[str, Any] = {
        name: getattr(found, name)
        for name in (
            "failure_probability",
            "severity",
            "learnability",
            "dead_share",
            "largest_step",
            "exploding_share",
            "left_basin",
        )
    }
    told = {name: None if x is None else _rounded(x) for name, x in numbers.items()}
    quantiles: dict[str, Sequence[float]] = {
        name: getattr(found, name).tolist()
        for name in ("final_variance", "largest_gain", "gradient_growth")
    }
    return {
        **told,
        **{name: [_rounded(x) for x in values] for name, values in quantiles.items()},
        "outcome": found.outcome,
        "verdict": found.verdict,
    }


def _rounded(value: float) -> float | None:
    number = float(f"{float(value):.{DIGITS}g}")
    return number if math.isfinite(number) else None
