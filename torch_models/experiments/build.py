"""What a run is made of: its networks, how many of them together, its images, its device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from torch_models.data import Dataset, coarsen, load_dataset, subset
from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.ensemble import Ensemble
from torch_models.records.runs import Experiment, Run
from torch_models.training.loop import Training
from torch_models.training.memory_plan import member_memory
from torch_models.training.schedule import Schedule

TOGETHER = 4
"""Networks trained together on a CPU: twice two threads; more only delay the first record."""

GPU_SHARE = 0.9
"""Of a GPU's free memory, what an ensemble may fill; libraries and fragments take the rest."""


def build(runs: Sequence[Run], dataset: Dataset, device: str = "cpu") -> Ensemble:
    """The networks of runs of one experiment, as drawn.

    The images of ``dataset`` have variance 1; each network scales them to its row's q^0.
    """
    experiment = runs[0].experiment
    nets, seeds = [run.design.net() for run in runs], [run.seed for run in runs]
    scales = [math.sqrt(run.design.input_variance()) for run in runs]
    if experiment.network == "dnn":
        return DenseEnsemble(
            nets,
            dataset.features,
            experiment.width,
            experiment.depth,
            dataset.classes,
            seeds,
            device=device,
            input_scales=scales,
        )
    return ConvolutionalEnsemble(
        nets,
        dataset.image_shape[0],
        experiment.width,
        experiment.depth,
        seeds,
        dimensions=1 if experiment.network == "cnn-1d" else 2,
        out_features=dataset.classes,
        device=device,
        input_scales=scales,
    )


def training_of(runs: Sequence[Run], dataset: Dataset, device: str = "cpu") -> Training:
    """The training of the networks of runs of one experiment, before its first step."""
    experiment = runs[0].experiment
    schedule = Schedule(
        experiment.epochs,
        experiment.learning_rate,
        experiment.batch_size,
        experiment.order,
        momentum=experiment.momentum,
    )
    return Training(build(runs, dataset, device), dataset, schedule)


def ensemble_size(asked: int | None, experiment: Experiment, dataset: Dataset, device: str) -> int:
    """How many networks to train together: as asked, or `TOGETHER`, or on a GPU all that fit.

    Raises:
        ValueError: if more are asked for than fit on the GPU. For convolutional networks nothing is
            computed ahead.
    """
    if not device.startswith("cuda") or experiment.network != "dnn":
        return asked or TOGETHER
    free, _ = torch.cuda.mem_get_info(device)
    member = member_memory(
        dataset.features,
        experiment.width,
        experiment.depth,
        dataset.classes,
        experiment.batch_size,
        momentum=experiment.momentum,
    )
    images = sum(x.nbytes for x in (dataset.train_x, dataset.validation_x))
    most = member.largest_ensemble(int(GPU_SHARE * free) - images)
    if (asked or 1) > most:
        raise ValueError(
            f"together must be at most {max(most, 0)}: a network takes {member.total / 1e6:.3g} MB "
            f"in training, and {device} has {free / 1e6:.3g} MB free; got {asked or 1}"
        )
    return asked or most


def images_of(dataset: Dataset, experiment: Experiment) -> Dataset:
    """What an experiment uses of its data set: fewer images, coarser ones, or all as they are."""
    train, test = experiment.train, experiment.test
    if train is not None or test is not None:
        dataset = subset(dataset, train or len(dataset.train_y), test or len(dataset.test_y))
    return dataset if experiment.coarsen == 1 else coarsen(dataset, experiment.coarsen)


def dataset_loader(data_dir: Path | None) -> Callable[[Experiment], Dataset]:
    """A function that loads an experiment's images, and keeps those asked for last."""

    @lru_cache(maxsize=1)
    def dataset_of(experiment: Experiment) -> Dataset:
        return images_of(load_dataset(experiment.data, data_dir), experiment)

    return dataset_of


def check_device(device: str, elsewhere: bool = False) -> None:
    """Raise ``ValueError`` for a device that is none, or is not there.

    ``elsewhere`` says that it is one of another process, which alone knows whether it is there.
    """
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or not (number or "0").isdecimal():
        raise ValueError(f"device must be cpu, cuda or cuda:N, got {device!r}")
    there = torch.cuda.device_count()
    if kind == "cuda" and not elsewhere and int(number or 0) >= there:
        raise ValueError(f"device {device} is not there: CUDA devices {there}")
