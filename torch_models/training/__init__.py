"""Training an ensemble: one step, written out without autograd, and the loop of steps.

May import: networks, data, sparsity_theory; torch, numpy.
"""

from sparsity_theory._extras import needs

try:
    import torch as torch
except ModuleNotFoundError as missing:
    raise needs("torch_models.training", "torch") from missing


from torch_models.training.divergence import Divergence
from torch_models.training.epochs import EpochStatistics
from torch_models.training.loop import TrainingResult, train

__all__ = ["Divergence", "EpochStatistics", "TrainingResult", "train"]
