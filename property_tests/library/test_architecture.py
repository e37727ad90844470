"""The rooms of the house: what each may import, as its own first lines say, and what loads when."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

import sparsity_theory
import torch_models
from property_tests.support.controls import imports_torch

ROOT = Path(__file__).parents[2]
PACKAGES = ("sparsity_theory", "torch_models", "property_tests", "asv_bench")
OPEN_TO_ALL = {"_extras", "_types", "_validation", "_values"}
"""Files of the theory beside its rooms, which every room of it may use."""


@cache
def graph() -> grimp.ImportGraph:
    """Every import of the project, those within functions and for type checking included."""
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def rooms() -> list[str]:
    """The packages, and the folders in them that are packages too."""
    children = (child for package in PACKAGES for child in graph().find_children(package))
    return [*PACKAGES, *sorted(child for child in children if file_of(child).is_dir())]


def file_of(module: str) -> Path:
    """The folder of a package, or what would be the folder of a file."""
    return ROOT.joinpath(*module.split("."))


def law_of(room: str) -> set[str]:
    """What the docstring of a room says that it may import."""
    text = (file_of(room) / "__init__.py").read_text(encoding="utf-8")
    doc = " ".join((ast.get_docstring(ast.parse(text)) or "").split())
    law = re.search(r"May import: ([\w,; ]*)\.", doc)
    assert law, f"the first lines of {room}/__init__.py must say 'May import: ... .'"
    return set(re.split(r"[,;] ", law[1]))


def imported_by(room: str) -> set[str]:
    """The other rooms of its package, the other packages and the libraries that a room imports."""
    package, _, own = room.partition(".")
    inside = {room} | (graph().find_descendants(room) if own else _beside_the_rooms(package))
    found = set()
    for module in inside:
        for target in graph().find_modules_directly_imported_by(module):
            top, _, rest = target.partition(".")
            name = rest.partition(".")[0] if top == package else top
            if top == package and (target in inside or not own or not name):
                continue
            found.add(name)
    return found - set(sys.stdlib_module_names) - OPEN_TO_ALL


def _beside_the_rooms(package: str) -> set[str]:
    """The files of a package that lie in none of its rooms."""
    return {child for child in graph().find_children(package) if not file_of(child).is_dir()}


@pytest.mark.claim("Oracle: no torch")
@pytest.mark.control("Oracle: no torch", replace="imported_by", by=imports_torch)
@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_what_its_first_lines_allow(room: str) -> None:
    assert imported_by(room) - law_of(room) == set()


@pytest.mark.claim("Oracle: no torch")
def test_no_room_of_the_theory_is_allowed_torch() -> None:
    """Nor the networks, nor a suite; the test tools alone may use libraries for tests."""
    for room in rooms():
        if room.startswith("sparsity_theory"):
            allowed = law_of(room) & {"torch", "torch_models", "property_tests", "asv_bench"}
            tools = law_of(room) & {"flint", "hypothesis", "mpmath", "pytest"}
            assert not allowed, room
            assert not tools or room == "sparsity_theory.testing", room


def test_no_two_files_import_each_other_and_no_circle_is_longer() -> None:
    """Through no import, those for type checking included; the error names the circle."""
    files = {
        module: graph().find_modules_directly_imported_by(module) for module in graph().modules
    }
    graphlib.TopologicalSorter(files).prepare()


def test_no_two_rooms_import_each_other() -> None:
    for package in PACKAGES:
        own = [room.partition(".")[2] for room in rooms() if room.startswith(f"{package}.")]
        arrows = {name: imported_by(f"{package}.{name}") & set(own) for name in own}
        graphlib.TopologicalSorter(arrows).prepare()


@pytest.mark.claim("Oracle: no torch")
def test_the_references_share_no_code_with_the_theory() -> None:
    """What the theory is compared to must not be made of it."""
    for name in ("references", "support.agreement"):
        chain = graph().find_upstream_modules(f"property_tests.{name}", as_package=True)
        assert not {m for m in chain if m.split(".")[0] in ("sparsity_theory", "torch_models")}


def test_no_file_hides_behind_a_public_function_of_its_name() -> None:
    """``import sparsity_theory.forecast`` must not give a function."""
    for package in (sparsity_theory, torch_models):
        for room in [package.__name__, *graph().find_children(package.__name__)]:
            files = {m.rpartition(".")[2] for m in graph().find_children(room)}
            public = getattr(sys.modules.get(room), "__all__", ())
            assert files & set(public) == set(), room


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
from torch_models.commands.app import app
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


LISTED = """
import contextlib, io, sys
from torch_models.commands.app import COMMANDS, app
with contextlib.redirect_stdout(io.StringIO()):
    app(["--help"], standalone_mode=False)
loaded = {f"torch_models.commands.{name.replace('-', '_')}" for name in COMMANDS}
print(({"numpy", "rich"} | loaded) & set(sys.modules))
"""


def test_the_list_of_commands_loads_none_of_them() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LISTED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "set()\n"


def test_all_public_names_of_the_networks_come_from_one_import() -> None:
    names: dict[str, object] = {}
    exec("from torch_models import *", names)
    assert {"DenseEnsemble", "train", "evaluate", "load_dataset", "ClippedReLU"} <= set(names)
    assert set(names) - {"__builtins__"} == set(torch_models.__all__)


def test_every_public_name_is_there() -> None:
    for name in torch_models.__all__:
        assert getattr(torch_models, name).__name__ == name
