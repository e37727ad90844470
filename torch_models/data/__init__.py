"""Images to train on: digits, MNIST and CIFAR-10, from files or from OpenML.

May import: sparsity_theory; torch, numpy, sklearn.
"""

from sparsity_theory._extras import needs

try:
    import torch as torch
except ModuleNotFoundError as missing:
    raise needs("torch_models.data", "torch") from missing


from torch_models.data.dataset import DataError as DataError
from torch_models.data.dataset import Dataset
from torch_models.data.dataset import held_out_split as held_out_split
from torch_models.data.dataset import normalize_images as normalize_images
from torch_models.data.digits import DIGITS_TEST_SIZE as DIGITS_TEST_SIZE
from torch_models.data.finding import find_dataset
from torch_models.data.loading import LOADERS as LOADERS
from torch_models.data.loading import load_dataset
from torch_models.data.reductions import coarsen, subset

__all__ = ["Dataset", "coarsen", "find_dataset", "load_dataset", "subset"]
