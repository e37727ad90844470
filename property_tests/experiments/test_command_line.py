"""The command line: no option is ignored, no number is cut, and no mistake is a traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

from torch_models.reports.numbers import number

ROOT = Path(__file__).parents[2]


def run(*arguments: object, **environment: str) -> Any:
    """The command line in this process."""
    from torch_models.commands.app import app

    return CliRunner(env=environment).invoke(app, [str(argument) for argument in arguments])


def command(*arguments: object, stdout: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    words = [sys.executable, "-m", "torch_models", *map(str, arguments)]
    return subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [("solve",), ("forecast", "--table", 4, "--networks", 20), ("stable-clip", "--help")],
)
def test_a_narrow_terminal_cuts_no_number(arguments: tuple[object, ...]) -> None:
    done = run(*arguments, COLUMNS="40")
    assert done.exit_code == 0, done.output
    if "--help" not in arguments:
        assert "…" not in done.stdout
        digits = re.compile(r"[-+]?\d[\d.e+-]*")
        assert digits.findall(done.stdout) == digits.findall(run(*arguments, COLUMNS="300").stdout)


@pytest.mark.parametrize(
    "option",
    [
        ("--width", 100),
        ("--depth", 9),
        ("--activation", "st"),
        ("--sparsity", 0.5),
        ("--slope", 0.5),
    ],
)
def test_an_option_that_does_not_apply_is_an_error(option: tuple[str, object]) -> None:
    done = run("forecast", "--table", 4, *option)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {option[0].removeprefix('--')} does not go with table")


@pytest.mark.parametrize(
    ("arguments", "inputs"),
    [
        (
            ("forecast", "--networks", 20, "--depth", 5),
            {"activation": "crelu", "sparsity": 0.85, "slope": 0.7, "depth": 5, "networks": 20},
        ),
        (
            ("observe", "--width", 20, "--depth", 3, "--networks", 2),
            {"activation": "crelu", "width": 20, "networks": 2, "correlation": 0.5, "seed": 0},
        ),
        (
            ("stable-clip", "--sparsity", 0.8, "--width", 50, "--networks", 20, "--seed", 3),
            {"activation": "crelu", "risk": 0.05, "networks": 20, "seed": 3},
        ),
        (("solve", "--activation", "ST"), {"activation": "st", "sparsity": 0.85, "q_star": 1.0}),
    ],
)
def test_json_has_its_inputs(arguments: tuple[object, ...], inputs: dict[str, Any]) -> None:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {name: found[name] for name in inputs} == inputs


def test_a_table_s_training_in_json_says_what_became_of_every_run(tmp_path: Path) -> None:
    size = ("--width", 10, "--depth", 3, "--epochs", 1, "--output", tmp_path)
    for status in ("trained now", "found finished"):
        done = run("train-table", 4, "--row", "relu-0.9", *size, "--json")
        assert done.exit_code == 0, done.output
        (table,) = json.loads(done.stdout)
        assert (table["table"], table["budget"], table["experiment"]["width"]) == (4, "custom", 10)
        (trained,) = table["runs"]
        assert (trained["activation"], trained["sparsity"], trained["seed"]) == ("relu", 0.9, 0)
        assert trained["status"] == status
        assert Path(trained["record"]).is_file()


def test_small_and_large_figures_are_readable() -> None:
    assert [number(value, 6) for value in (0.0, 1.25, -3e-9, 2e12)] == [
        "0.000000", "1.250000", "-3.000000e-09", "2.000000e+12",
    ]  # fmt: skip
    assert number(float("nan")) == "-"
    shown = run("solve", "--q-star", "1e-8").stdout
    assert "1.000000e-08" in shown


@pytest.mark.parametrize("picture", [".", "", "a.jpg", "nowhere/a.png"])
def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_computed(
    picture: str,
) -> None:
    for name in ("observe", "stable-clip"):
        done = run(name, "--plot", picture)
        assert done.exit_code in (1, 2)
        assert done.stderr.startswith("error: plot ")
        assert done.stderr.count("\n") == 1


def test_a_table_without_any_records_is_the_paper_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("table", 2)
    assert done.exit_code == 0
    assert "train-table makes records" in done.stderr
    assert done.stdout.startswith("Table 2, dnn: no records")


def test_an_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = command("solve", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


def test_names_are_taken_in_any_case() -> None:
    assert run("solve", "--activation", "CReLU").exit_code == 0
    assert run("forecast", "--activation", "CST", "--networks", 20, "--depth", 4).exit_code == 0
    records = ("--records", ROOT / "results" / "records")
    shown = run("table", 2, "--network", "CNN-1D", "--budget", "Short", *records)
    assert shown.stdout == run("table", 2, "--network", "cnn-1d", *records).stdout
    assert json.loads(run("table", 2, "--format", "JSON", *records).stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("table 2 --network rnn", "network must be one of"),
        ("table 2 --budget long", "budget must be one of"),
        ("figure 5 --budget long", "budget must be one of"),
        ("solve --q-star -1", "q-star must be positive and finite, got -1.0"),
        ("solve --q-star 1e308", "fixed points need kinks between"),
        ("solve --sparsity 0.3", "sparsity 0.3 is out of reach: ClippedReLU"),
        ("stable-clip --sparsity 1", "sparsity must be strictly between 0 and 1, got 1.0"),
        ("forecast --width 99999999999999999999", "width must be at most 9223372036854775807"),
        ("forecast --depth 1000000000000", "out of memory: Unable to allocate"),
    ],
)
def test_a_value_that_cannot_be_had_is_one_line_that_names_its_option(
    words: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    from torch_models.commands import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sparsity-theory", *words.split()])
    assert app.run() != 0
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {message}")
    assert shown.count("\n") == 1


def test_the_shell_can_complete_commands() -> None:
    assert "--show-completion" in run("--help").stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("sparsity-theory s", ["solve", "stable-clip"]),
        ("sparsity-theory solve --q", ["--q-star"]),
        ("sparsity-theory sovle --q", []),
    ],
)
def test_commands_and_the_options_of_each_are_completed(words: str, completed: list[str]) -> None:
    done = run(
        _ROOT_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(words.count(" ")),
    )
    assert done.stdout.split() == completed


def test_a_misspelt_command_is_told_its_name() -> None:
    done = command("repot")
    assert done.returncode == 2
    assert done.stderr == "error: No such command 'repot'. Did you mean 'report'?\n"


def test_every_command_is_listed_with_the_first_sentence_of_its_help() -> None:
    from torch_models.commands.app import COMMANDS
    from torch_models.commands.lazy import load

    helps = {name: load(name).help for name in COMMANDS}
    assert {name: text.split("\n\n")[0] for name, text in helps.items()} == COMMANDS
    shown = " ".join(run("--help").stdout.split())
    assert all(f" {name} {line}" in shown for name, line in COMMANDS.items())


INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from torch_models.commands.main import main
main()
"""


def test_ctrl_c_while_the_command_loads_is_one_line() -> None:
    words = [sys.executable, "-c", INTERRUPTED, "solve"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")


@pytest.mark.parametrize(
    ("words", "interrupted"),
    [
        ("solve", "solve.solution_of"),
        ("forecast --networks 5", "forecast.chosen_designs"),
        ("forecast --table 5 --networks 5", "forecast.ranked_row"),
        ("observe", "observe.observed_layers"),
        ("stable-clip", "stable_clip.tracked"),
        ("recipe plain", "recipe.sizes_of_positions"),
        ("table 2", "table.found_records"),
        ("figure 5", "figure.found_records"),
        ("train-table 2", "train_table.find_budget"),
    ],
)
def test_ctrl_c_in_a_command_is_one_line(
    words: str,
    interrupted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from torch_models.commands import app

    def interrupt(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"torch_models.commands.{interrupted}", interrupt)
    monkeypatch.setattr(sys, "argv", ["sparsity-theory", *words.split()])
    assert app.run() == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize("words", ["reproduce", "train-table 2"])
def test_ctrl_c_before_training_says_that_nothing_was_trained(
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    pytest.importorskip("torch")
    from torch_models.commands import app, sweep

    def interrupt(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep.Sweeper, "dataset", interrupt)
    monkeypatch.setattr(sys, "argv", ["sparsity-theory", *words.split(), "--output", str(tmp_path)])
    assert app.run() == 130
    assert capsys.readouterr().err == "error: interrupted before anything was trained\n"


@pytest.mark.parametrize("words", ["reproduce", "train-table 2"])
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("mps", "device must be cpu, cuda or cuda:N, got 'mps'"),
        ("cuda:99", "device cuda:99 is not there: CUDA devices"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_printed(
    words: str, device: str, message: str, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    done = run(*words.split(), "--device", device, "--output", tmp_path)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize("words", ["table 2 --output", "figure 5 --output"])
def test_a_folder_is_no_file_to_write_to(words: str, tmp_path: Path) -> None:
    folder = tmp_path / "a.png"
    folder.mkdir()
    done = run(*words.split(), folder, "--records", ROOT / "results" / "records")
    assert done.exit_code == 1
    assert done.stderr == f"error: output {folder} cannot be written: Is a directory\n"
