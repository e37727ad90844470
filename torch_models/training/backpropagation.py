"""The forward and backward pass of an ensemble, chosen by its architecture."""

from __future__ import annotations

from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.ensemble import Ensemble
from torch_models.training.convolutional import ConvolutionalBackpropagation
from torch_models.training.dense import DenseBackpropagation


def check_architecture(ensemble: object) -> None:
    """Raise ``TypeError`` unless a training step is written out for these networks."""
    if not isinstance(ensemble, DenseEnsemble | ConvolutionalEnsemble):
        raise TypeError(f"ensemble must be dense or convolutional, got {type(ensemble).__name__}")


def backpropagation(
    ensemble: Ensemble, precision: str = "float32"
) -> DenseBackpropagation | ConvolutionalBackpropagation:
    """Forward pass, backward pass and SGD step of this ensemble.

    Raises:
        ValueError: for an unknown precision; convolutional networks have float32 only.
        TypeError: for an ensemble of another architecture.
    """
    check_architecture(ensemble)
    if isinstance(ensemble, DenseEnsemble):
        return DenseBackpropagation(ensemble, precision)
    assert isinstance(ensemble, ConvolutionalEnsemble)
    if precision != "float32":
        raise ValueError(f"precision of convolutional networks must be float32, got {precision!r}")
    return ConvolutionalBackpropagation(ensemble)
