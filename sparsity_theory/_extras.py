"""Libraries beyond NumPy and SciPy: in which extra of this distribution each comes."""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {
    "torch": ("torch", "torch"),
    "sklearn": ("scikit-learn", "torch"),
    "safetensors": ("safetensors", "torch"),
    "filelock": ("filelock", "torch"),
    "typer": ("typer", "cli"),
    "rich": ("rich", "cli"),
    "matplotlib": ("matplotlib", "cli"),
    "jinja2": ("jinja2", "cli"),
    "distributed": ("distributed", "cluster"),
    "hypothesis": ("hypothesis", "test"),
    "flint": ("python-flint", "test"),
}
"""Package and extra by the name of the module."""


def missing(*modules: str) -> str | None:
    """The first of the modules that is not installed; None if all are."""
    for module in modules:
        if find_spec(module) is None:
            return module
    return None


def needs(who: str, module: str) -> ModuleNotFoundError:
    """The error to raise where a module that ``who`` imports is not there."""
    package, extra = EXTRAS[module]
    return ModuleNotFoundError(
        f"{who} needs {package}: pip install 'sparsity-theory[{extra}]'", name=module
    )
