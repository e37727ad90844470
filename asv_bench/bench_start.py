"""Start-up time: the import, and the command line."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

from asv_bench.labels import labelled


class Import:
    """In a fresh interpreter, whose own start is not counted."""

    @labelled("import sparsity_theory")
    def timeraw_import(self) -> str:
        return "import sparsity_theory"

    @labelled("import sparsity_theory, then tau and m")
    def timeraw_first_use(self) -> str:
        return "import sparsity_theory as st; st.ClippedReLU.for_sparsity(0.85, slope=0.7)"


class CommandLine:
    """A whole process, the start of the interpreter included."""

    params = ("--help", "solve --json")
    param_names = ("arguments",)

    def setup(self, arguments: str) -> None:
        for module in ("typer", "rich"):
            if find_spec(module) is None:
                raise NotImplementedError(f"needs {module}")
        self.command = [sys.executable, "-m", "torch_models", *arguments.split()]

    @labelled("sparsity-theory, from start to end")
    def time_command(self, arguments: str) -> None:
        subprocess.run(self.command, check=True, stdout=subprocess.DEVNULL)
