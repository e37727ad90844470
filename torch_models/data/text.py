"""Text to train on that every Python has: the reference topics behind ``help("if")``."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass

import torch
from torch import Tensor

HELD_OUT = 0.1
"""Share of the text, its end, that is held out."""

BYTES = 256
"""Number of tokens: a token is a byte."""


@dataclass(frozen=True, eq=False, repr=False)
class Text:
    """Bytes as int64, (n,).

    ``sha256`` is that of the whole text; ``source`` says in words where it comes from.
    """

    train: Tensor
    validation: Tensor
    sha256: str
    source: str

    def description(self) -> dict[str, str | int]:
        """The source, checksum and sizes, as JSON can hold them."""
        sizes = {"train": len(self.train), "validation": len(self.validation)}
        return {"source": self.source, "sha256": self.sha256, **sizes}


def load_python_topics() -> Text:
    """The topics of ``pydoc_data``, about half a million bytes; they differ between versions."""
    from pydoc_data.topics import topics

    content = "\n".join(topics[name] for name in sorted(topics)).encode()
    tokens = torch.frombuffer(bytearray(content), dtype=torch.uint8).long()
    cut = round((1 - HELD_OUT) * len(tokens))
    source = f"pydoc_data.topics of Python {platform.python_version()}"
    return Text(tokens[:cut], tokens[cut:], hashlib.sha256(content).hexdigest(), source)


def bigram_loss(text: Text) -> float:
    """The mean loss on the held-out text of the frequencies of pairs in the rest, in nats a byte.

    Every pair counts once more than it occurs. It is what a model reaches that sees one byte.
    """
    pairs = text.train[:-1] * BYTES + text.train[1:]
    counts = 1.0 + torch.bincount(pairs, minlength=BYTES * BYTES).view(BYTES, BYTES)
    frequencies = counts / counts.sum(dim=1, keepdim=True)
    return float(-frequencies[text.validation[:-1], text.validation[1:]].log().mean())
