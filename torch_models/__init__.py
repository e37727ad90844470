"""Networks at the edge of chaos in PyTorch: built, initialized, observed and trained in ensembles.

Each folder is a room; the first lines of its ``__init__`` say what it is for and what it may
import. The public names are those of `data`, `networks` and `training`. They load when one is first
used: the command line must be able to start without loading torch.

May import: nothing but its rooms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_models.data import *  # noqa: F403
    from torch_models.networks import *  # noqa: F403
    from torch_models.training import *  # noqa: F403

_PUBLIC = ("data", "networks", "training")


def __getattr__(name: str) -> Any:
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    rooms = [import_module(f"{__name__}.{room}") for room in _PUBLIC]
    if name == "__all__":
        return [public for room in rooms for public in room.__all__]
    for room in rooms:
        if name in room.__all__:
            return getattr(room, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__getattr__("__all__"))
