"""A single network in PyTorch Lightning, which the paper's authors used.

Logger, checkpoints, progress bar and summary are off, since they cost time.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from asv_bench.timing import clock
from torch_models.measurements.noise_training import LEARNING_RATE, Batches

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


class Classifier(lightning.LightningModule):
    """A network with its loss and its optimizer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return cross_entropy(self.network(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), LEARNING_RATE)


class Stopwatch(lightning.Callback):
    """Runs from the end of an epoch's first step to the end of its last."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self.start = clock()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        self.seconds = clock() - self.start


def lightning_step(network: nn.Module, batches: Batches) -> float:
    """Train for an epoch; return the seconds of a step, with its batch, from the second step on."""
    stopwatch = Stopwatch()
    trainer = lightning.Trainer(
        max_epochs=1,
        devices=1,
        callbacks=[stopwatch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a loader in this process: slow only if it reads files
        trainer.fit(Classifier(network), batches)
    return stopwatch.seconds / (len(batches) - 1)
