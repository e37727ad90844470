"""Networks in PyTorch: built, initialized, propagated and observed, as ensembles.

May import: sparsity_theory; torch, numpy.
"""

from sparsity_theory._extras import needs

try:
    import torch as torch
except ModuleNotFoundError as missing:
    raise needs("torch_models.networks", "torch") from missing


from torch_models.networks.activations import (
    ClippedReLU,
    ClippedSoftThreshold,
    ShiftedReLU,
    SoftThreshold,
    SparseActivation,
)
from torch_models.networks.convolutional import ConvolutionalEnsemble
from torch_models.networks.dense import DenseEnsemble
from torch_models.networks.evaluation import Evaluation, evaluate
from torch_models.networks.initialization import (
    Initialization,
    InitializedLayer,
    draw_orthogonal_,
    edge_of_chaos_,
)
from torch_models.networks.observe import (
    LayerStatistics,
    gradient_growth,
    jacobian_spectrum,
    observe_covariances,
    observe_gradients,
)
from torch_models.networks.pre_norm import pre_norm_
from torch_models.networks.residual import PreNormEnsemble, ResidualEnsemble
from torch_models.networks.sparse_inference import SparseInputLinear, with_sparse_inputs
from torch_models.networks.sparsity import measured_sparsity
from torch_models.networks.transformer import LanguageModel

__all__ = [
    "ClippedReLU",
    "ClippedSoftThreshold",
    "ConvolutionalEnsemble",
    "DenseEnsemble",
    "Evaluation",
    "Initialization",
    "InitializedLayer",
    "LanguageModel",
    "LayerStatistics",
    "PreNormEnsemble",
    "ResidualEnsemble",
    "ShiftedReLU",
    "SoftThreshold",
    "SparseActivation",
    "SparseInputLinear",
    "draw_orthogonal_",
    "edge_of_chaos_",
    "evaluate",
    "gradient_growth",
    "jacobian_spectrum",
    "measured_sparsity",
    "observe_covariances",
    "observe_gradients",
    "pre_norm_",
    "with_sparse_inputs",
]
