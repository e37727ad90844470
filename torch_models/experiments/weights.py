"""Trained weights on disk: safetensors files named by the digest that their record has."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save
from torch import nn

from torch_models.networks.activations import SparseActivation
from torch_models.networks.ensemble import Ensemble
from torch_models.networks.sequential import as_sequential
from torch_models.records.files import replacing
from torch_models.records.run_record import RunRecord, read_run_record


def weights_path(folder: Path, record: RunRecord) -> Path:
    """Where the weights of a run are, if they were kept."""
    return folder / f"{record.weights.removeprefix('sha256:')}.safetensors"


def save_weights(folder: Path, record: RunRecord, ensemble: Ensemble, member: int) -> None:
    """Write a member's weights and biases, atomically, by their names in `Ensemble.network`."""
    parameters = ensemble.network(member).named_parameters()
    tensors = {name: values.detach().cpu().contiguous() for name, values in parameters}
    with replacing(weights_path(folder, record)) as temporary:
        temporary.write_bytes(save(tensors))


def load_network(record: Path | str) -> nn.Sequential:
    """The trained network of a record whose weights were kept beside it.

    Args:
        record: path of the JSON file.

    Returns:
        Linear or circular Conv layers with the activation between them. Inputs (batch, features) or
        (batch, channels, *positions) have variance 1, as those of `load_dataset`; logits are
        (batch, classes).

    Raises:
        ValueError: if the file is no record of a run.
        OSError: if it, or the file of the weights, cannot be read.
    """
    found = read_run_record(Path(record))
    tensors = load_file(weights_path(Path(record).parent, found))
    places = sorted({int(name.partition(".")[0]) for name in tensors})
    return as_sequential(
        [tensors[f"{place}.weight"] for place in places],
        [tensors[f"{place}.bias"] for place in places],
        SparseActivation.from_theory(found.run.design.activation()),
    )
