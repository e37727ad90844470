"""Where a record comes from: versions, hardware and the state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("sparsity-theory", "numpy", "scipy", "torch", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of everything that had a hand in the figures."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def hardware(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Describe the machine in words that do not say whose it is."""
    device = torch.device(device)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # "AVX2", "AVX512", ...
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": card,
    }


@cache
def commit() -> str | None:
    """The commit that the code is at, with ``+`` if files differ from it.

    None where this file is not under git, such as in an installed package.
    """
    file = Path(__file__)
    folder = file.parents[2]  # of both packages
    try:
        _git(folder, "ls-files", "--error-unmatch", str(file))
        head = _git(folder, "rev-parse", "HEAD")
        code = ("sparsity_theory", "torch_models")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *code)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}+" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, check=True, text=True
    ).stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
