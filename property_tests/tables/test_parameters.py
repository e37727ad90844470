"""The parameter columns of Tables 2, 4 and 5, computed to the printed digits."""

from __future__ import annotations

from typing import Any

import pytest

import sparsity_theory as st
from property_tests.references import paper
from property_tests.references.definitions import Number, mp, of_kind
from property_tests.support.agreement import agree, printed
from property_tests.support.controls import rows_moved
from property_tests.support.published import row_name, rows
from property_tests.support.strategies import ACTIVATIONS, KINDS, ONE_SIDED, activation_for


def exact_parameters(row: dict[str, Any]) -> tuple[Number, Number | None]:
    """tau and m of a row: by the quantile, and by root finding on the definition of V'."""
    s = mp.mpf(row["s"])
    tau = paper.eq_57(s, 1) if row["kind"] in ONE_SIDED else paper.eq_58(s, 1)
    if "m" not in row:
        return tau, None
    with mp.workdps(25):
        m = mp.findroot(
            lambda m: paper.eq_50(1, tau, m, 1) / paper.eq_15(1, tau, m, 1) - mp.mpf(row["slope"]),
            mp.mpf(row["m"]),
        )
    return tau, m


def exact_curvature(row: dict[str, Any], tau: Number, m: Number | None) -> Number:
    """V''(1) on the edge of chaos, from the definition."""
    function = of_kind(row["kind"], tau, m)
    return function.mean_square_curvature(1) / function.mean_square_derivative(1)


ALL_ROWS = [
    pytest.param(
        row,
        marks=pytest.mark.claim(f"Table {number} parameters"),
        id=f"Table {number} {row_name(row)}",
    )
    for number in (2, 4, 5)
    for row in rows(f"table_{number}")
]


@pytest.mark.control(
    "Table 2 parameters",
    "Table 4 parameters",
    "Table 5 parameters",
    replace="exact_parameters",
    by=rows_moved,
)
@pytest.mark.parametrize("row", ALL_ROWS)
def test_the_parameters_of_the_row_are_computed_to_the_printed_digits(row: dict[str, Any]) -> None:
    """By the library and by the definition; V'' of clipped rows at the printed m."""
    tau, m = exact_parameters(row)
    phi = activation_for(row["kind"], float(row["s"]), float(row.get("slope", 0.5)))
    agree("tau", phi.tau, tau, 1e-14, scale=tau + 2**-52, search=False)  # s is rounded to a double
    assert printed(float(phi.tau), row["tau"])
    net = st.edge_of_chaos(phi)
    if "slope" in row:
        assert printed(float(net.variance_slope(1.0)), row["slope"])
        curvature = exact_curvature(row, tau, m)
        agree(
            "V''",
            net.variance_curvature(1.0),
            curvature,
            1e-13,
            scale=abs(curvature) + 1,
            search=False,
        )
    if m is None:
        assert "curvature" not in row or printed(
            float(net.variance_curvature(1.0)), row["curvature"]
        )
        return
    agree("m", phi.m, m, 1e-13, search=False)
    assert printed(float(phi.m), row["m"])
    at_printed_clip = ACTIVATIONS[row["kind"]](phi.tau, float(row["m"]))
    rounded = st.edge_of_chaos(at_printed_clip)
    assert printed(float(rounded.variance_slope(1.0)), row["slope"])
    assert printed(float(rounded.variance_curvature(1.0)), row["curvature"])


LAST_DIGIT = {
    "table_2": [
        "CST s=0.50 V'=0.5",
        "CST s=0.50 V'=0.9",
        "CST s=0.80 V'=0.5",
        "CST s=0.80 V'=0.7",
        "CST s=0.85 V'=0.5",
        "CST s=0.85 V'=0.7",
        "CST s=0.85 V'=0.9",
    ],
    "table_5": [
        "CReLU s=0.90 V'=0.5",
        "CReLU s=0.90 V'=0.7",
        "CST s=0.80 V'=0.5",
        "CST s=0.80 V'=0.7",
        "CST s=0.85 V'=0.5",
        "CST s=0.85 V'=0.7",
        "CST s=0.85 V'=0.9",
    ],
}


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("table_2", marks=pytest.mark.claim("Misprint Table 2 V''", reading="both")),
        pytest.param("table_5", marks=pytest.mark.claim("Misprint Table 5 V''", reading="both")),
    ],
)
def test_some_printed_curvatures_are_those_of_the_rounded_clip(table: str) -> None:
    """At the m with V'(q*) as tabulated these and only these rows print another last digit."""
    differ, explained = [], []
    for row in rows(table):
        tau, m = exact_parameters(row)
        if not printed(exact_curvature(row, tau, m), row["curvature"]):
            differ.append(row_name(row))
            if printed(exact_curvature(row, tau, mp.mpf(row["m"])), row["curvature"]):
                explained.append(row_name(row))
    assert differ == LAST_DIGIT[table]
    assert explained == differ


def test_every_kind_and_row_of_the_tables_is_there() -> None:
    """33, 8 and 24 rows, as printed."""
    assert [len(list(rows(f"table_{n}"))) for n in (2, 4, 5)] == [33, 8, 24]
    assert {row["kind"] for row in rows("table_2")} == set(KINDS)
