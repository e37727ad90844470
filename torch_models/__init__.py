"""Networks at the edge of chaos in PyTorch: built, initialized, observed and trained in stacks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_models.activations import ClippedReLU as ClippedReLU
    from torch_models.activations import ClippedSoftThreshold as ClippedSoftThreshold
    from torch_models.activations import ShiftedReLU as ShiftedReLU
    from torch_models.activations import SoftThreshold as SoftThreshold
    from torch_models.activations import SparseActivation as SparseActivation
    from torch_models.convolutional import ConvolutionalEnsemble as ConvolutionalEnsemble
    from torch_models.data import Dataset as Dataset
    from torch_models.data import coarsen as coarsen
    from torch_models.data import find_dataset as find_dataset
    from torch_models.data import load_dataset as load_dataset
    from torch_models.data import subset as subset
    from torch_models.divergence import Divergence as Divergence
    from torch_models.evaluation import Evaluation as Evaluation
    from torch_models.evaluation import evaluate as evaluate
    from torch_models.initialization import draw_orthogonal_ as draw_orthogonal_
    from torch_models.initialization import edge_of_chaos_ as edge_of_chaos_
    from torch_models.networks import DenseEnsemble as DenseEnsemble
    from torch_models.observe import LayerStatistics as LayerStatistics
    from torch_models.observe import gradient_growth as gradient_growth
    from torch_models.observe import jacobian_spectrum as jacobian_spectrum
    from torch_models.observe import observe_covariances as observe_covariances
    from torch_models.observe import observe_gradients as observe_gradients
    from torch_models.sparse_inference import SparseInputLinear as SparseInputLinear
    from torch_models.sparse_inference import with_sparse_inputs as with_sparse_inputs
    from torch_models.training import EpochStatistics as EpochStatistics
    from torch_models.training import TrainingResult as TrainingResult
    from torch_models.training import train as train

# Imported when first used: the command line must be able to start without loading torch.
_HOMES = {
    "ClippedReLU": "activations",
    "ClippedSoftThreshold": "activations",
    "ConvolutionalEnsemble": "convolutional",
    "Dataset": "data",
    "DenseEnsemble": "networks",
    "Divergence": "divergence",
    "EpochStatistics": "training",
    "Evaluation": "evaluation",
    "LayerStatistics": "observe",
    "ShiftedReLU": "activations",
    "SoftThreshold": "activations",
    "SparseActivation": "activations",
    "SparseInputLinear": "sparse_inference",
    "TrainingResult": "training",
    "coarsen": "data",
    "draw_orthogonal_": "initialization",
    "edge_of_chaos_": "initialization",
    "evaluate": "evaluation",
    "find_dataset": "data",
    "gradient_growth": "observe",
    "jacobian_spectrum": "observe",
    "load_dataset": "data",
    "observe_covariances": "observe",
    "observe_gradients": "observe",
    "subset": "data",
    "train": "training",
    "with_sparse_inputs": "sparse_inference",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
