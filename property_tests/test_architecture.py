"""Which package may import which: theory stands alone, suites are imported by nobody."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ALONE = """
import builtins, sys
kept = builtins.__import__
def without_torch(name, *args, **kwargs):
    if name.partition(".")[0] in {"torch", "torch_models", "matplotlib", "sklearn"}:
        raise ImportError(name)
    return kept(name, *args, **kwargs)
builtins.__import__ = without_torch
import sparsity_theory as st
net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
assert abs(float(net.variance_map(1.0)) - 1) < 1e-12
assert not {"torch", "torch_models", "matplotlib", "sklearn", "flint"} & set(sys.modules)
assert "sparsity_theory.testing" not in sys.modules
"""


@pytest.mark.claim("Oracle: no torch")
def test_the_theory_imports_and_works_in_a_fresh_interpreter_without_torch() -> None:
    run = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


HELP = """
import contextlib, io, sys
from sparsity_theory.cli import app
with contextlib.redirect_stdout(io.StringIO()):
    for command in [[], *([command.name] for command in app.registered_commands)]:
        app([*command, "--help"], standalone_mode=False)
slow = {"scipy.integrate", "scipy.optimize", "scipy.special", "scipy.stats"}
slow |= {"torch", "matplotlib", "sklearn", "distributed", "pytest"}
print(slow & set(sys.modules))
"""


def test_the_help_of_every_command_loads_nothing_slow() -> None:
    """Nor does the theory, which the command line imports: each part of SciPy waits for its use."""
    run = subprocess.run(
        [sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "set()\n"


def imported(package: str) -> Iterator[tuple[Path, str]]:
    """Every absolute import in a package: the file and the top-level name."""
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                yield file.relative_to(ROOT), name.partition(".")[0]


TEST_TOOLS = Path("sparsity_theory/testing")
TEST_LIBRARIES = {"flint", "hypothesis", "mpmath", "pytest"}

FORBIDDEN = {
    "sparsity_theory": {"torch", "torch_models", "property_tests", "asv_bench", "sklearn"},
    "torch_models": {"property_tests", "asv_bench"},
    "property_tests": {"asv_bench"},
}


@pytest.mark.claim("Oracle: no torch")
@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_package_imports_one_that_stands_above_it(package: str) -> None:
    wrong = [(str(file), name) for file, name in imported(package) if name in FORBIDDEN[package]]
    assert wrong == []


@pytest.mark.claim("Oracle: no torch")
def test_the_theory_needs_numpy_and_scipy_alone_outside_its_command_line_and_test_tools() -> None:
    """Test tools, in ``sparsity_theory/testing``, may use the libraries of the extra ``test``."""
    allowed = {"numpy", "scipy", "sparsity_theory"} | set(sys.stdlib_module_names)
    wrong = [
        (str(file), name)
        for file, name in imported("sparsity_theory")
        if name not in (allowed | TEST_LIBRARIES if TEST_TOOLS in file.parents else allowed)
        and file.name not in {"cli.py", "command_errors.py"}
    ]
    assert wrong == []


@pytest.mark.claim("Oracle: no torch")
def test_nothing_in_the_theory_imports_its_test_tools() -> None:
    wrong = [
        str(file.relative_to(ROOT))
        for file in (ROOT / "sparsity_theory").rglob("*.py")
        if TEST_TOOLS not in file.relative_to(ROOT).parents
        and re.search(
            r"^\s*(from|import) .*\btesting\b", file.read_text(encoding="utf-8"), re.MULTILINE
        )
    ]
    assert wrong == []


@pytest.mark.claim("Oracle: no torch")
def test_the_references_share_no_code_with_the_theory() -> None:
    """What the theory is compared to must not be made of it."""
    references = {"reference.py", "paper.py", "agreement.py", "balls.py", "gaussian_forms.py"}
    wrong = [
        file.name
        for file, name in imported("property_tests")
        if file.name in references and name in {"sparsity_theory", "torch_models"}
    ]
    assert wrong == []
