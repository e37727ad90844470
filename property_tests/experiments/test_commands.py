"""The commands ``forecast``, ``recipe``, ``observe`` and ``stable-clip``, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import sparsity_theory as st
from sparsity_theory.published.rows import Design
from sparsity_theory.published.tables import published_rows
from torch_models.measurements.layers import observed_layers
from torch_models.reports.trainable_figure import learned


def run(*arguments: str) -> Any:
    """The command line in this process."""
    from torch_models.commands.app import app

    return CliRunner().invoke(app, list(arguments))


def test_the_forecast_of_one_row_is_that_of_the_library() -> None:
    done = run("forecast", "--networks", "50", "--depth", "20", "--width", "60", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
    expected = st.forecast(net, 60, 20, 50)
    assert found["failure_probability"] == expected.failure_probability
    assert found["final_variance"] == expected.final_variance.tolist()
    assert found["verdict"] == expected.verdict
    shown = run("forecast", "--networks", "50", "--depth", "20", "--width", "60")
    assert expected.verdict[:40] in shown.stdout


def test_a_table_is_ranked_beside_the_paper_s_outcomes() -> None:
    done = run("forecast", "--table", "4", "--networks", "60", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert len(found["rows"]) == len(published_rows(4)) == 8
    severities = [row["severity"] for row in found["rows"]]
    assert severities == sorted(severities, reverse=True)
    assert found["auc"]["severity"] == 1.0
    assert found["rows"][-1]["paper"] == {"accuracy_mean": 0.93, "failed": False}
    relu = Design("relu", 0.7)
    expected = st.forecast(relu.net(), 300, 30, 60, q0=relu.input_variance())
    assert found["rows"][-1]["largest_step"] == expected.largest_step
    shown = run("forecast", "--table", "4", "--networks", "60").stdout
    assert "AUC 1.000 by severity" in shown
    assert "0.93" in shown


def test_the_convolutional_networks_of_table_2_are_ranked_beside_their_outcomes() -> None:
    done = run("forecast", "--table", "2", "--network", "cnn", "--networks", "10", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["network"] == ["cnn"]
    assert len(found["rows"]) == 33
    assert {(row["network"], row["depth"]) for row in found["rows"]} == {("cnn", 50)}
    assert sum(row["paper"]["failed"] for row in found["rows"]) == 6


def test_a_convolutional_network_of_one_s_own_is_forecast() -> None:
    size = ("--networks", "20", "--depth", "8", "--width", "30", "--kernel", "3")
    done = run("forecast", *size, "--positions", "8x9", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    net = st.edge_of_chaos(st.ClippedReLU.for_sparsity(0.85, slope=0.7))
    expected = st.forecast(net, 30, 8, 20, kernel=3, positions=(8, 9))
    assert found["final_variance"] == expected.final_variance.tolist()
    assert (found["kernel"], found["positions"]) == (3, [8, 9])
    assert "kernel 3, 5 positions" in run("forecast", *size, "--positions", "5").stdout


def test_a_recipe_is_that_of_the_library() -> None:
    size = ("--sparsity", "0.9", "--width", "40", "--depth", "5", "--networks", "40")
    expected = st.recipe("pre-norm", 0.9, 40, 5, networks=40)
    shown = run("recipe", "pre-norm", *size)
    assert shown.stdout == f"{expected}\n"
    found = json.loads(run("recipe", "Pre-Norm", *size, "--json").stdout)
    assert found["works"] is True
    assert found["activation"] == "ShiftedReLU"
    assert found["sigma_v2"] == expected.numbers()["sigma_v2"]
    assert found["failure_probability"] == expected.forecast.failure_probability


def test_layers_observed_lie_within_the_law_at_their_width() -> None:
    """Of 40 networks 90% are expected within; fewer than 75% have a probability of 0.3% a layer.

    Layers of a network go together, so of 8 layers all are asked on average only.
    """
    layers = observed_layers(Design("cst", 0.7, 0.7), 80, 8, 40, 0.3, 0)
    assert set(layers) == {"variance", "sparsity", "correlation", "gain"}
    for name, each in layers.items():
        assert each.seen.shape == (40, 8)
        assert each.limit.shape == (8,)
        if each.law is not None:
            inside = np.mean((each.seen >= each.law[0]) & (each.seen <= each.law[1]))
            assert 0.75 < inside <= 1.0, name
    assert layers["correlation"].limit[0] == 0.3
    assert np.all(np.diff(layers["correlation"].limit) > 0)
    assert np.all(layers["gain"].seen[:, -1] == 0)


def test_networks_are_observed_with_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "layers.png"
    sizes = ["--width", "30", "--depth", "6", "--networks", "3"]
    done = run("observe", "--activation", "st", "--sparsity", "0.7", *sizes, "--plot", str(picture))
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "ST s=0.7" in done.stdout
    assert "share of zeros" in done.stdout
    assert list(tmp_path.iterdir()) == [picture]


def test_stable_clips_are_listed_and_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "clips.png"
    sizes = ["--sparsity", "0.8", "--sparsity", "0.9", "--width", "50", "--depth", "10"]
    done = run("stable-clip", *sizes, "--networks", "50", "--plot", str(picture))
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "0.9" in done.stdout


def test_where_one_can_train_at_all_is_drawn_for_several_depths(tmp_path: Path) -> None:
    """With the learnability of each best clip, and nothing where no clip is stable."""
    picture = tmp_path / "where.png"
    sizes = ["--sparsity", "0.8", "--width", "3", "--width", "60", "--depth", "4", "--depth", "60"]
    done = run("stable-clip", *sizes, "--networks", "50", "--json", "--plot", str(picture))
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    told = json.loads(done.stdout)["clips"]
    clips = {
        (clip["sparsity"], clip["width"], clip["depth"]): st.largest_stable_clip(
            "crelu", 0.8, clip["width"], clip["depth"], networks=50
        )
        if clip["m"]
        else None
        for clip in told
    }
    assert clips[0.8, 3, 60] is None
    drawn = learned(clips, 60, [0.8], [4, 60])
    expected = [clip["learnability"] for clip in told if clip["width"] == 60]
    np.testing.assert_array_equal(drawn[:, 0], expected)
    assert np.isnan(learned(clips, 3, [0.8], [60])).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forecast", "--table", "3"], "error: table must be one of 2, 4, 5, got 3"),
        (["forecast", "--network", "cnn"], "error: network goes with table;"),
        (["forecast", "--table", "4", "--network", "cnn"], "error: network 'cnn' has no rows in"),
        (["forecast", "--table", "2", "--kernel", "3"], "error: kernel does not go with table"),
        (["forecast", "--kernel", "3"], "error: kernel and positions go together, got kernel"),
        (["forecast", "--positions", "3y4"], "error: positions must be a number or a pair such as"),
        (["recipe", "recurrent"], "error: architecture must be one of 'plain', 'convolutional'"),
        (["recipe", "plain", "--activation", "crelu"], "error: kind must be 'relu' or 'st', got"),
        (["recipe", "plain", "--positions", "3y4"], "error: positions must be a number or a pair"),
        (["forecast", "--width", "0"], "error: width must be an integer of at least 1, got 0"),
        (["forecast", "--activation", "gelu"], "error: activation must be one of"),
        (["observe", "--depth", "1"], "error: depth must be at least 2, got 1"),
        (["observe", "--correlation", "2"], "error: correlation must be in [-1, 1], got 2.0"),
        (["observe", "--plot", "/no/such/folder/a.png"], "error: plot /no/such/folder/a.png"),
        (["stable-clip", "--activation", "relu"], "error: activation must be one of crelu, cst"),
        (["stable-clip", "--risk", "0"], "error: risk must be strictly between 0 and 1, got 0.0"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code != 0
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
