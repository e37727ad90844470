"""Training an ensemble: one step of it, and the loop of steps.

May import: networks, data, sparsity_theory; torch, numpy.
"""

from torch_models.training.divergence import Divergence
from torch_models.training.loop import EpochStatistics, TrainingResult, train

__all__ = ["Divergence", "EpochStatistics", "TrainingResult", "train"]
