"""Where one member of an ensemble stands in its training, in one safetensors file.

A checkpoint belongs to a single network, not to its ensemble: networks that stand at the same step
can resume together in any ensemble, since on a CPU the numbers of one do not depend on the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from torch_models.records.files import clear_temporaries, replacing, to_plain
from torch_models.records.run_record import images_described
from torch_models.records.unfinished import CHECKPOINT
from torch_models.training.epochs import EpochStatistics
from torch_models.training.loop import Training
from torch_models.training.state import TrainingState

ORDER = "order"
"""The tensor with the state of the generator of the samples' order; the others are parameters,
and with momentum the velocity of each."""

VELOCITY = "velocity."
"""What stands before the name of a parameter in the name of its velocity."""

HISTORY = "history"
"""The part of the file's metadata with the run's name and the figures measured so far, as JSON."""

DIGEST = "sha256"
"""The part of the metadata by which a damaged file is recognized."""


@dataclass(frozen=True)
class Checkpoint:
    """A file that was found whole: the step at which its network stands, and on what images.

    ``images`` is empty in files of versions that did not write it.
    """

    path: Path
    step: int
    images: tuple[str, ...]

    def is_of(self, images: tuple[str, ...]) -> bool:
        """Whether its network was trained on these images, as far as the file says."""
        return self.images in ((), images)


def checkpoint_path(folder: Path, name: str) -> Path:
    """Where the checkpoint of the run of this name is."""
    return folder / f"{name}{CHECKPOINT}"


def save_checkpoint(folder: Path, name: str, training: Training, member: int) -> None:
    """Write where a training member stands, atomically. The ensemble must be up to date."""
    state = training.state()
    tensors = {
        name: values[member].detach().contiguous() for name, values in _moving(training).items()
    } | {ORDER: state.order}
    history = {
        "name": name,
        "images": images_described(training.dataset.description()),
        "step": state.step,
        "loss": state.loss[member],
        "epochs": [
            {
                "loss": statistics.loss[member],
                "validation_accuracy": statistics.validation_accuracy[member],
                "sparsity": statistics.sparsity[member],
            }
            for statistics in state.epochs
        ],
        "gradient_norms": [norms[member] for norms in state.gradient_norms],
    }
    text = json.dumps(to_plain(history), allow_nan=False)
    with replacing(checkpoint_path(folder, name)) as temporary:
        temporary.write_bytes(save(tensors, {HISTORY: text, DIGEST: _digest(tensors, text)}))


def forget_checkpoint(folder: Path, name: str) -> None:
    """Delete the checkpoint of the run of this name, and what killed processes left of it."""
    clear_temporaries(folder, name)
    checkpoint_path(folder, name).unlink(missing_ok=True)


def find_checkpoint(folder: Path, name: str) -> Checkpoint | None:
    """The checkpoint of the run of this name, or None where there is none that is whole."""
    path = checkpoint_path(folder, name)
    try:
        metadata = _metadata(path)
        text = metadata[HISTORY]
        if metadata[DIGEST] != _digest(load_file(path), text):
            return None
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None
    history = json.loads(text)
    if history["name"] != name:
        return None
    return Checkpoint(path, history["step"], tuple(history.get("images", ())))


def resume(training: Training, checkpoints: Sequence[Checkpoint]) -> None:
    """Bring a fresh training to where the checkpoints of its members stand, all at one step.

    Raises:
        ValueError: if they stand at different steps, are of another number than the members, or of
            training on other images.
    """
    steps = sorted({checkpoint.step for checkpoint in checkpoints})
    if len(checkpoints) != training.ensemble.members or len(steps) != 1:
        raise ValueError(
            f"checkpoints must be one for each of {training.ensemble.members} members, at one "
            f"step, got {len(checkpoints)} at {steps}"
        )
    images = images_described(training.dataset.description())
    for checkpoint in checkpoints:
        if not checkpoint.is_of(images):
            raise ValueError(f"{checkpoint.path} is of training on other images")
    order = _load(_moving(training), [checkpoint.path for checkpoint in checkpoints])
    histories = [json.loads(_metadata(checkpoint.path)[HISTORY]) for checkpoint in checkpoints]
    epochs = [
        EpochStatistics(
            number,
            *(
                np.array(
                    [history["epochs"][number - 1][name] for history in histories], dtype=float
                )
                for name in ("loss", "validation_accuracy", "sparsity")
            ),
        )
        for number in range(1, len(histories[0]["epochs"]) + 1)
    ]
    norms = np.array([history["gradient_norms"] for history in histories], dtype=float)
    training.resume(
        TrainingState(
            step=steps[0],
            order=order,
            loss=np.array([history["loss"] for history in histories], dtype=float),
            epochs=epochs,
            gradient_norms=list(np.moveaxis(norms, 1, 0)),
            divergences=[None] * len(checkpoints),
        )
    )


def _moving(training: Training) -> dict[str, Tensor]:
    """The tensors (members, ...) that a step changes, by their names in a checkpoint."""
    parameters: dict[str, Tensor] = dict(training.ensemble.named_parameters())
    velocity = zip(parameters, training.velocity, strict=False)  # none without momentum
    return parameters | {VELOCITY + name: values for name, values in velocity}


def _load(moving: Mapping[str, Tensor], paths: Sequence[Path]) -> Tensor:
    """Fill these tensors, member by member; returns the generator's state."""
    for member, path in enumerate(paths):
        tensors = load_file(path)
        order = tensors.pop(ORDER)
        for name, values in tensors.items():
            moving[name].data[member] = values
    return order


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata()
    return metadata


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].cpu().numpy().tobytes())
    return digest.hexdigest()
