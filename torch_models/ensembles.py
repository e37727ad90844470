"""What is observed and trained: stacks of networks of either architecture."""

from __future__ import annotations

from torch_models.convolutional import ConvolutionalEnsemble
from torch_models.networks import DenseEnsemble

Ensemble = DenseEnsemble | ConvolutionalEnsemble
