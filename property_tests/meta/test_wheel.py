"""What is published: what it holds, and the wheel as strangers install it."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command far from the checkout, and keep what it prints."""
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a source distribution, and of the wheel that is made from it."""
    folder = tmp_path_factory.mktemp("built")
    done = run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("unpacked")
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture
def install(wheel: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Make a fresh environment with the wheel and these extras; returns its folder of programs."""

    def installed(extras: str) -> Path:
        done = run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        programs = tmp_path / "venv" / "bin"
        constraints = ROOT / "constraints.txt"
        done = run(
            programs / "pip", "install", "-q", "-c", constraints, f"{wheel}{extras}", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return programs

    return installed


def test_the_wheel_has_the_two_packages_and_no_more(wheel: Path) -> None:
    here = {
        file.relative_to(ROOT).as_posix()
        for package in ("sparsity_theory", "torch_models")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    names = ZipFile(wheel).namelist()
    assert {"sparsity_theory/py.typed", "torch_models/py.typed"} <= here
    assert {name for name in names if ".dist-info/" not in name} == here


def test_what_a_package_index_shows_has_no_dead_link(wheel: Path) -> None:
    archive = ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    _, _, shown = archive.read(name).decode().partition("\n\n")
    assert "## Where to read on" in shown
    targets = re.findall(r"\]\(([^)]+)\)", shown)
    assert [target for target in targets if not target.startswith("https://")] == []


def test_the_source_distribution_has_every_file_of_the_repository(unpacked: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    done = run("git", "ls-files", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    packed = {file.relative_to(unpacked) for file in unpacked.rglob("*") if file.is_file()}
    assert packed == {Path("PKG-INFO"), *map(Path, done.stdout.splitlines())}


def test_the_source_distribution_passes_its_own_tests(unpacked: Path) -> None:
    rooms = ["property_tests/tables", "property_tests/theory"]
    pages = ["property_tests/meta/test_documentation.py", "property_tests/meta/test_release.py"]
    done = run(sys.executable, "-m", "pytest", "-q", "-n", "auto", *rooms, *pages, cwd=unpacked)
    assert done.returncode == 0, done.stdout


ORACLE = """
import sparsity_theory as st
phi = st.ClippedReLU.for_sparsity(0.85, slope=0.7)
net = st.edge_of_chaos(phi)
assert abs(net.variance_map(1.0) - 1) < 1e-12
assert st.forecast(net, networks=50).outcome
print(st.__version__)
"""


def test_alone_it_is_the_oracle_and_says_what_the_rest_needs(
    install: Callable[[str], Path], tmp_path: Path
) -> None:
    programs = install("")
    done = run(programs / "python", "-c", ORACLE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for code, wanted in (
        ("import torch_models; torch_models.DenseEnsemble", "torch: pip install"),
        ("from torch_models.training import train", "sparsity-theory[torch]"),
        ("import sparsity_theory.testing.certify", "python-flint: pip install"),
        ("import sparsity_theory.testing.strategies", "sparsity-theory[test]"),
    ):
        done = run(programs / "python", "-c", code, cwd=tmp_path)
        assert done.returncode == 1
        assert wanted in done.stderr.splitlines()[-1], done.stderr
    done = run(programs / "sparsity-theory", "solve", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr == "error: the command line needs typer: pip install 'sparsity-theory[cli]'\n"
    )


def test_with_the_command_line_theory_is_there_and_training_says_what_it_needs(
    install: Callable[[str], Path], tmp_path: Path
) -> None:
    programs = install("[cli]")
    records = ROOT / "results" / "records"
    for arguments in (
        ["solve", "--activation", "crelu", "--sparsity", "0.85", "--slope", "0.7"],
        ["forecast", "--table", "4", "--networks", "50"],
        ["stable-clip", "--sparsity", "0.8", "--width", "100", "--networks", "50"],
        ["table", "2", "--records", records],
        ["--version"],
    ):
        done = run(programs / "sparsity-theory", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = run(programs / "python", "-m", "torch_models", "reproduce", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: reproduce needs torch: pip install 'sparsity-theory[torch]'\n"


def test_with_torch_networks_are_built_and_trained(
    install: Callable[[str], Path], tmp_path: Path
) -> None:
    programs = install("[torch]")
    code = """
import sparsity_theory as st
from torch_models import DenseEnsemble, load_dataset, train
net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
digits = load_dataset("digits")
ensemble = DenseEnsemble([net], digits.features, 30, 3, digits.classes, seeds=[0])
assert train(ensemble, digits, epochs=1, learning_rate=0.01, batch_size=64).epochs
"""
    done = run(programs / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
