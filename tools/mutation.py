"""Mutation testing: break the mathematics of ``sparsity_theory``, see that the tests notice.

Run: ``pip install cosmic-ray``, then ``python tools/mutation.py`` (about an hour on one core for
the default sample; ``--sample 0`` takes every mutant, a night on many cores). Cosmic Ray makes one
small change at a time in a copy of the working tree: another operator, a number one larger or
smaller, a comparison turned round, a sign or a loop left out; a mutant that no test notices
survives. Mutants are drawn at random, so that the share killed in the sample estimates the share of
all; its 95% interval (Wilson) is printed.

A survivor that computes the same is listed in ``equivalent_mutants.toml`` with the reason, and then
does not count. An interrupted run resumes when given the same ``--folder``.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkResult

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")

# Operators are exchanged for their inverse and comparisons for their opposite: what else Cosmic Ray
# offers for them (shifts of floats, < for <=) is noticed by Python itself, or by nothing at all.
OPERATORS = {
    *(
        f"core/ReplaceBinaryOperator_{pair}"
        for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul")
    ),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in ("Pow_Mul", "Add_Mul", "Mul_Add")),
    *(
        f"core/ReplaceComparisonOperator_{pair}"
        for pair in ("Lt_GtE", "GtE_Lt", "Gt_LtE", "LtE_Gt")
    ),
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq")),
    *("core/ReplaceUnaryOperator_Delete_Not", "core/ReplaceUnaryOperator_USub_UAdd"),
    *("core/ReplaceTrueWithFalse", "core/ReplaceFalseWithTrue", "core/NumberReplacer"),
    *("core/ReplaceAndWithOr", "core/ReplaceOrWithAnd", "core/ZeroIterationForLoop"),
    *("core/ReplaceBreakWithContinue", "core/AddNot"),
}

# Which files of property_tests judge which room of the theory. What all other tests might notice
# besides does not count, so that the share killed is a lower bound. `published` and `testing` are
# left out: tables, and tools for tests.
JUDGES = {
    "numerics": (
        *("library/test_double_double", "library/test_roots", "library/test_quadrature"),
        *("theory/test_gaussian_identities", "theory/test_variance_map"),
        "theory/test_edge_of_chaos",
    ),
    "numerics/bivariate": ("library/test_bivariate", "theory/test_correlation_map"),
    "activations": (
        *("theory/test_activations", "theory/test_variance_map", "theory/test_edge_of_chaos"),
        *("theory/test_correlation_map", "theory/test_jacobian", "theory/test_fixed_points"),
        *("library/test_bivariate", "library/test_quadrature", "library/test_bad_input"),
        *("networks/test_finite_width", "meta/test_conformance"),
    ),
    "mean_field": (
        *("theory/test_variance_map", "theory/test_edge_of_chaos", "theory/test_fixed_points"),
        *("theory/test_propagation", "theory/test_correlation_map", "theory/test_jacobian"),
        *("theory/test_jacobian_density", "theory/test_residual", "library/test_bad_input"),
    ),
    "finite_width": (
        *("networks/test_finite_width", "networks/test_forecast", "networks/test_learnability"),
        *("networks/test_convolutional_law", "networks/test_residual", "networks/test_recipe"),
    ),
}


@dataclass(frozen=True)
class Mutant:
    """One change of one line."""

    module: str
    before: str
    after: str

    @classmethod
    def of(cls, mutation: MutationSpec, result: WorkResult) -> Mutant:
        """The change that a result is about."""
        removed = [line[1:].strip() for line in changed_lines(result.diff or "", "-")]
        added = [line[1:].strip() for line in changed_lines(result.diff or "", "+")]
        return cls(mutation.module_path.as_posix(), "; ".join(removed), "; ".join(added))


def changed_lines(diff: str, sign: str) -> list[str]:
    """The lines of a unified diff that begin with ``sign``, its header left out."""
    return [
        line
        for line in diff.splitlines()
        if line.startswith(sign) and not line.startswith(3 * sign)
    ]


def files_of(room: str) -> list[str]:
    """The files of a room of the theory, relative to the root; a room within it is not of it."""
    found = sorted((ROOT / "sparsity_theory" / room).glob("*.py"))
    return [file.relative_to(ROOT).as_posix() for file in found if file.name != "__init__.py"]


def write_configuration(file: Path, room: str) -> None:
    """Cosmic Ray's settings for one room."""
    tests = " ".join(f"property_tests/{test}.py" for test in JUDGES[room])
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {tests}"
    file.write_text(
        "[cosmic-ray]\n"
        f"module-path = {files_of(room)!r}\n"
        "timeout = 300.0\n"
        "excluded-modules = []\n"
        f'test-command = "{command}"\n'
        "[cosmic-ray.distributor]\n"
        'name = "local"\n',
        encoding="utf-8",
    )


def copy_tree(where: Path) -> None:
    """The working tree as it is, in a folder of its own: mutants are made in place."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        target = where / name
        if (ROOT / name).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


def cosmic_ray(tree: Path, *arguments: str | Path) -> None:
    """Run one command of Cosmic Ray on the copy."""
    environment = os.environ | {"HYPOTHESIS_PROFILE": "mutation", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cosmic_ray.cli", *arguments]
    subprocess.run(command, cwd=tree, env=environment, check=True)


def wanted_jobs(session: Path) -> list[str]:
    """The mutants made by one of `OPERATORS`, in an order that does not depend on the session.

    ``strict=True`` of ``zip`` is left alone: it only guards against a mistake.
    """
    with use_db(session, WorkDB.Mode.open) as database:
        items = sorted(database.work_items, key=lambda item: str(item.mutations))
    return [
        item.job_id
        for item in items
        if item.mutations[0].operator_name in OPERATORS and not guards(item.mutations[0])
    ]


def guards(mutation: MutationSpec) -> bool:
    """Whether what would change is the value of ``strict=``."""
    line, column = mutation.start_pos
    source = (ROOT / mutation.module_path).read_text(encoding="utf-8").splitlines()
    return source[line - 1][:column].endswith("strict=")


def keep_sample(sessions: list[Path], size: int, seed: int) -> None:
    """Mark as skipped every mutant of another operator, and all but ``size`` of the rest."""
    wanted = [job for session in sessions for job in wanted_jobs(session)]
    kept = set(random.Random(seed).sample(range(len(wanted)), size) if size else range(len(wanted)))
    chosen = {job for place, job in enumerate(wanted) if place in kept}
    for session in sessions:
        with use_db(session, WorkDB.Mode.open) as database:
            skipped = [item.job_id for item in database.work_items if item.job_id not in chosen]
            database.set_multiple_results(skipped, WorkResult(WorkerOutcome.SKIPPED))


def read_results(session: Path) -> list[tuple[Mutant, bool]]:
    """Every mutant that ran, and whether a test noticed."""
    with use_db(session, WorkDB.Mode.open) as database:
        return [
            (Mutant.of(item.mutations[0], result), result.test_outcome != TestOutcome.SURVIVED)
            for item, result in database.completed_work_items
            if result.worker_outcome != WorkerOutcome.SKIPPED
        ]


def read_equivalent() -> dict[Mutant, str]:
    """The listed mutants that compute the same, each with the reason."""
    if not EQUIVALENT.exists():
        return {}
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", [])
    return {
        Mutant(entry["module"], entry["before"], entry["after"]): entry["reason"]
        for entry in entries
    }


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% interval of a share."""
    share, weight = successes / trials, z * z / trials
    middle = (share + weight / 2) / (1 + weight)
    spread = z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return middle - spread, middle + spread


def report(results: list[tuple[Mutant, bool]], equivalent: dict[Mutant, str]) -> int:
    """Print what happened; the number of survivors that are not listed."""
    counted = [(mutant, noticed) for mutant, noticed in results if mutant not in equivalent]
    survivors = [mutant for mutant, noticed in counted if not noticed]
    for module, count in sorted(Counter(mutant.module for mutant, _ in counted).items()):
        left = sum(mutant.module == module for mutant in survivors)
        print(f"{module:45} {count - left:4} of {count:4} killed")
    for mutant in survivors:
        print(f"\nsurvived in {mutant.module}\n  - {mutant.before}\n  + {mutant.after}")
    if counted:
        killed = len(counted) - len(survivors)
        low, high = wilson(killed, len(counted))
        print(
            f"\n{killed} of {len(counted)} mutants killed ({killed / len(counted):.1%}, 95% "
            f"interval {low:.1%} to {high:.1%}); {len(results) - len(counted)} listed as equivalent"
        )
    return len(survivors)


def run(sessions: dict[str, Path], size: int, seed: int) -> None:
    """Begin the sessions, or resume them."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        settings = {room: tree / f"{session.stem}.toml" for room, session in sessions.items()}
        for room, file in settings.items():
            write_configuration(file, room)
        new = [room for room, session in sessions.items() if not session.exists()]
        for room in new:
            cosmic_ray(tree, "init", settings[room], sessions[room])
        if new:
            keep_sample([sessions[room] for room in new], size, seed)
        for room, session in sessions.items():
            cosmic_ray(tree, "baseline", settings[room])
            cosmic_ray(tree, "exec", settings[room], session)


def main() -> int:
    """Run the sessions and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, default=300, help="mutants to try; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--room", action="append", choices=JUDGES, help="only these; all if none")
    parser.add_argument("--folder", type=Path, default=Path("mutation"), help="of the sessions")
    parser.add_argument("--report", action="store_true", help="only report on the sessions")
    chosen = parser.parse_args()
    folder = chosen.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sessions = {room: folder / f"{room.replace('/', '_')}.sqlite" for room in chosen.room or JUDGES}
    if not chosen.report:
        run(sessions, chosen.sample, chosen.seed)
    results = [
        result
        for session in sessions.values()
        if session.exists()
        for result in read_results(session)
    ]
    return 1 if report(results, read_equivalent()) else 0


if __name__ == "__main__":
    sys.exit(main())
