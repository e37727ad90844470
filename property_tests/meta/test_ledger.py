"""The ledger plugin itself: verdicts, partial runs, workers, files, and mistakes in markers."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from property_tests.ledger.claims import (
    Claim,
    ClaimError,
    Entry,
    Link,
    Outcome,
    decide,
    link,
    load_claims,
)
from property_tests.ledger.formats import (
    as_html,
    as_json,
    as_markdown,
    headline,
    read_json,
    short_list,
    terminal_lines,
)
from property_tests.ledger.page import claims as claims_of_page

pytest_plugins = ["pytester"]

REPOSITORY = Path(__file__).parents[2]
CLAIMS_FILE = REPOSITORY / "property_tests" / "claims.toml"

CLAIMS = "\n".join(
    f'[[claim]]\nid = "{name}"\nsource = "{source}"\n'
    f'statement = "About {name}."\ndomain = "all"\nevidence = "{evidence}"\n'
    for name, source, evidence in (
        ("Eq. 1", "paper", "identity"),
        ("Eq. 2", "paper", "certified"),
        ("Eq. 3", "library", "statistical"),
        ("Fig. 4", "paper", "identity"),
        ("Misprint Eq. 5", "paper", "misprint"),
    )
)


SETTINGS = """
[pytest]
claims = claims.toml
addopts = -p property_tests.ledger.plugin -p no:hypothesispytest -p no:cacheprovider
markers =
    slow
"""
"""Without Hypothesis's own plugin, which no test here uses and which takes a second to load."""


@pytest.fixture
def suite(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Run pytest with the plugin on given test files, over the five claims above."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    pytester.makeini(SETTINGS)
    (pytester.path / "claims.toml").write_text(CLAIMS)

    def run(files: dict[str, str], *options: str, subprocess: bool = False) -> pytest.RunResult:
        for name, source in files.items():
            file = pytester.path / f"{name}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text("import pytest\n" + dedent(source))
        run_pytest = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return run_pytest("--ledger", "ledger.json", *options)

    return run


def ledger(path: Path) -> dict[str, dict[str, Any]]:
    """The claims of a written ledger by id."""
    return {each["id"]: each for each in json.loads(path.read_text())["claims"]}


def verdicts(path: Path) -> dict[str, str]:
    """Claim id to verdict in a written ledger."""
    return {name: each["verdict"] for name, each in ledger(path).items()}


ALL_KINDS = {
    "test_one": """
        @pytest.mark.claim("Eq. 1", "Eq. 2")
        def test_passes(): pass
        @pytest.mark.claim("Eq. 3")
        def test_fails(): assert 1 == 2, "the worst point is 7"
        """,
    "test_two": """
        @pytest.mark.claim("Fig. 4")
        @pytest.mark.skip(reason="needs a GPU")
        def test_skipped(): pass
        """,
}


HEADLINE = (
    "4 claims of the paper, 1 of this library: "
    "2 verified (2 identity), 1 refuted, 1 open, 1 skipped"
)


def test_a_full_run_gives_every_claim_its_verdict(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    result = suite(ALL_KINDS)
    assert verdicts(pytester.path / "ledger.json") == {
        "Eq. 1": "verified",
        "Eq. 2": "verified",
        "Eq. 3": "refuted",
        "Fig. 4": "skipped",
        "Misprint Eq. 5": "open",
    }
    result.stdout.fnmatch_lines(
        [
            "*= claims =*",
            "refuted*Eq. 3*About Eq. 3.*",
            "*the worst point is 7*",
            "open*Misprint Eq. 5*About Misprint Eq. 5.*",
            "skipped*Fig. 4*",
            "*needs a GPU*",
            "verified*identity: Eqs. 1, 2*",
            HEADLINE,
        ]
    )


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_a_verdict_says_on_what_it_rests_where_a_test_does(
    options: tuple[str, ...],
    suite: Callable[..., pytest.RunResult],
    pytester: pytest.Pytester,
) -> None:
    noted = """
        @pytest.mark.claim("Eq. 1")
        def test_noted(record_property): record_property("note", "99 runs of 33 rows")
        @pytest.mark.claim("Eq. 1", "Eq. 3")
        def test_silent(): pass
        """
    result = suite({"test_one": noted}, *options, subprocess=bool(options))
    found = ledger(pytester.path / "ledger.json")
    assert found["Eq. 1"]["reason"] == "99 runs of 33 rows"
    assert found["Eq. 3"]["reason"] == ""
    result.stdout.fnmatch_lines(["verified*Eq. 1*", "*Eq. 1: 99 runs of 33 rows"])


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_a_claim_seen_in_part_or_on_smaller_networks_is_not_simply_verified(
    options: tuple[str, ...],
    suite: Callable[..., pytest.RunResult],
    pytester: pytest.Pytester,
) -> None:
    """One test that saw less is enough, whatever the others saw; a failure outweighs all."""
    noted = """
        @pytest.mark.claim("Eq. 1", "Eq. 2", "Eq. 3")
        def test_smaller(record_property): record_property("reduced", "width 100")
        @pytest.mark.claim("Eq. 1")
        def test_whole(): pass
        @pytest.mark.claim("Eq. 2", "Eq. 3")
        def test_some(record_property): record_property("otherwise", "2 of 33 rows: a, b")
        @pytest.mark.claim("Eq. 3")
        def test_fails(): assert False
        """
    result = suite({"test_one": noted}, *options, subprocess=bool(options))
    found = ledger(pytester.path / "ledger.json")
    assert {name: found[name]["verdict"] for name in ("Eq. 1", "Eq. 2", "Eq. 3")} == {
        "Eq. 1": "verified at reduced size",
        "Eq. 2": "partly",
        "Eq. 3": "refuted",
    }
    assert found["Eq. 1"]["reason"] == "at width 100"
    assert found["Eq. 2"]["reason"] == "at width 100; otherwise: 2 of 33 rows: a, b"
    result.stdout.fnmatch_lines(
        [
            "partly*Eq. 2*",
            "*otherwise: 2 of 33 rows: a, b",
            "verified at reduced size identity: Eq. 1",
            "*Eq. 1: at width 100",
            "*0 verified, 1 refuted, 1 partly, *1 verified at reduced size",
        ]
    )


LEAVE_OUT_SLOW = SETTINGS.replace("cacheprovider", "cacheprovider -m 'not slow'")


def test_workers_report_to_the_controller_of_pytest_xdist(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    pytest.importorskip("xdist")
    pytester.makeini(LEAVE_OUT_SLOW)
    slow = """
        @pytest.mark.slow
        @pytest.mark.claim("Misprint Eq. 5", reading="both")
        def test_slow(): pass
        """
    result = suite({**ALL_KINDS, "test_three": slow}, "-n", "2", subprocess=True)
    assert verdicts(pytester.path / "ledger.json") == {
        "Eq. 1": "verified",
        "Eq. 2": "verified",
        "Eq. 3": "refuted",
        "Fig. 4": "skipped",
        "Misprint Eq. 5": "not run",
    }
    assert json.loads((pytester.path / "ledger.json").read_text())["run"]["complete"] is True
    assert result.stdout.str().count("= claims =") == 1


@pytest.mark.parametrize(
    ("options", "judged"),
    [
        pytest.param(("-k", "passes"), {"Eq. 1", "Eq. 2"}, id="-k"),
        pytest.param(("test_two.py",), {"Fig. 4"}, id="one file"),
        pytest.param(
            ("test_one.py::test_passes", "test_two.py"), {"Eq. 1", "Eq. 2", "Fig. 4"}, id="one test"
        ),
        pytest.param(("-x",), {"Eq. 1", "Eq. 2", "Eq. 3"}, id="stopped at the first failure"),
    ],
)
def test_a_partial_run_calls_nothing_open(
    options: tuple[str, ...],
    judged: set[str],
    suite: Callable[..., pytest.RunResult],
    pytester: pytest.Pytester,
) -> None:
    suite(ALL_KINDS, *options)
    found = verdicts(pytester.path / "ledger.json")
    assert {name for name, verdict in found.items() if verdict != "not run"} == judged
    assert "open" not in found.values()


def test_a_run_without_one_room_of_the_suite_is_partial(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    rooms = {"test_one": ALL_KINDS["test_one"], "room/test_two": ALL_KINDS["test_two"]}
    suite(rooms, "test_one.py")
    assert verdicts(pytester.path / "ledger.json")["Fig. 4"] == "not run"
    suite(rooms)
    assert verdicts(pytester.path / "ledger.json")["Fig. 4"] == "skipped"


def test_a_claim_with_a_deselected_test_is_not_verified(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    source = """
        @pytest.mark.claim("Eq. 1")
        @pytest.mark.parametrize("point", [1, 2, 3])
        def test_at(point): pass
        """
    suite({"test_one": source}, "-k", "not 3")
    entry = ledger(pytester.path / "ledger.json")["Eq. 1"]
    assert (entry["verdict"], entry["reason"]) == ("not run", "1 of 3 tests did not run")


SLOW = """
    @pytest.mark.claim("Eq. 1", "Eq. 2")
    def test_quick(): pass
    @pytest.mark.slow
    @pytest.mark.claim("Eq. 2", "Eq. 3")
    def test_slow(): pass
    """


def test_what_is_left_out_by_default_does_not_make_a_run_partial(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    pytester.makeini(LEAVE_OUT_SLOW)
    result = suite({"test_one": SLOW})
    assert verdicts(pytester.path / "ledger.json") == {
        "Eq. 1": "verified",
        "Eq. 2": "verified",
        "Eq. 3": "not run",
        "Fig. 4": "open",
        "Misprint Eq. 5": "open",
    }
    result.stdout.fnmatch_lines(["not run*Eq. 3*"])


def test_another_choice_of_marks_makes_a_run_partial(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    suite({"test_one": SLOW}, "-m", "slow")
    found = verdicts(pytester.path / "ledger.json")
    assert (found["Eq. 2"], found["Eq. 3"], found["Fig. 4"]) == ("not run", "verified", "not run")


def test_a_file_skipped_as_a_whole_leaves_the_run_partial(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    suite({"test_one": ALL_KINDS["test_one"], "test_two": 'pytest.importorskip("no_such_thing")'})
    assert verdicts(pytester.path / "ledger.json")["Fig. 4"] == "not run"


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["one process", "pytest-xdist"])
def test_an_unknown_id_fails_collection_and_says_what_was_meant(
    options: tuple[str, ...], suite: Callable[..., pytest.RunResult]
) -> None:
    if options:
        pytest.importorskip("xdist")
    source = '@pytest.mark.claim("Fig 4")\ndef test_it(): pass'
    result = suite({"test_one": source}, *options, subprocess=bool(options))
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*no claim has the id 'Fig 4'; did you mean 'Fig. 4'*"])


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ("claim()", "*name at least one claim*"),
        (
            'claim("Eq. 1", evidence="opinion")',
            "*evidence='opinion'; allowed are certified, identity*",
        ),
        ('claim("Eq. 1", reading="corrected")', "*reading='corrected' is for misprints*"),
        ('claim("Misprint Eq. 5")', "*'Misprint Eq. 5' is a misprint: say reading=*"),
        ('claim("Misprint Eq. 5", reading="most")', "*not 'most'*"),
        ('claim("Eq. 1", wrong=1)', "*unexpected keyword argument 'wrong'*"),
    ],
)
def test_a_marker_that_makes_no_sense_fails_collection(
    marker: str, complaint: str, suite: Callable[..., pytest.RunResult]
) -> None:
    result = suite({"test_one": f"@pytest.mark.{marker}\ndef test_it(): pass"})
    assert result.ret != 0
    result.stdout.fnmatch_lines([complaint])


def test_an_expected_failure_is_a_refutation(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    source = """
        @pytest.mark.claim("Eq. 1")
        @pytest.mark.xfail(strict=True, reason="overflows at 1e300")
        def test_it(): assert False
        """
    suite({"test_one": source})
    entry = ledger(pytester.path / "ledger.json")["Eq. 1"]
    assert entry["verdict"] == "refuted"
    assert "overflows at 1e300" in entry["reason"]


@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_fixture_that_fails_is_a_refutation(
    phase: str, suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    body = "raise OSError\n    yield" if phase == "before" else "yield\n    raise OSError"
    source = f"""
@pytest.fixture
def thing():
    {body}
@pytest.mark.claim("Eq. 1")
def test_it(thing): pass
"""
    suite({"test_one": source})
    assert verdicts(pytester.path / "ledger.json")["Eq. 1"] == "refuted"


def test_a_ledger_is_written_in_every_format(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    suite(ALL_KINDS, "--ledger", "ledger.md", "--ledger", "ledger.html")
    markdown = (pytester.path / "ledger.md").read_text()
    page = (pytester.path / "ledger.html").read_text()
    for text in (markdown, page):
        assert HEADLINE in text
        for name in ("Eq. 1", "Eq. 2", "Eq. 3", "Fig. 4", "Misprint Eq. 5"):
            assert name in text
    assert (
        "| Eq. 2 | paper | About Eq. 2. | all | identity (admits certified) | verified |"
        in markdown
    )
    facts = json.loads((pytester.path / "ledger.json").read_text())["run"]
    assert facts["complete"] is True
    assert {"python", "numpy", "hypothesis profile"} <= set(facts)


@pytest.mark.parametrize("name", ["ledger.txt", "no/such/folder/ledger.md"])
def test_a_ledger_that_cannot_be_written_stops_the_run_before_it_starts(
    name: str, suite: Callable[..., pytest.RunResult]
) -> None:
    result = suite(ALL_KINDS, "--ledger", name)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--ledger {name}: *"])


def test_a_broken_claims_file_stops_the_run(
    suite: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    (pytester.path / "claims.toml").write_text(CLAIMS + CLAIMS)
    result = suite(ALL_KINDS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*two claims have the id 'Eq. 1'*"])


# ---------------------------------------------------------------- the page


class Elements(HTMLParser):
    """The start tags of a page with their attributes, and the text of its claims by id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.claims: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag; an ``article`` is a claim."""
        self.tags.append((tag, dict(attrs)))
        if tag == "article":
            name = dict(attrs)["id"]
            assert name is not None
            assert name not in self.claims
            self.claims[name] = ""

    def handle_data(self, data: str) -> None:
        """Add to the last claim."""
        if self.claims:
            self.claims[list(self.claims)[-1]] += data


@pytest.fixture
def judged() -> list[Entry]:
    """Every claim of the file; one is refuted for a reason that holds markup."""
    claims = load_claims(CLAIMS_FILE)
    links = [
        each
        for name, claim in claims.items()
        for each in link(claims, f"test_it.py::test_it[{name}]", [name], reading=_reading(claim))
    ]
    outcomes = {each.nodeid: Outcome("passed") for each in links}
    outcomes["test_it.py::test_it[Eq. 3]"] = Outcome("failed", "<script>alert(1)</script> & more")
    return decide(claims, links, outcomes, complete=True)


FACTS = {"complete": False, "python": "3.11"}


def test_the_page_has_every_claim_once_at_an_anchor_of_its_own(judged: list[Entry]) -> None:
    found = Elements(as_html(judged, FACTS))
    assert len(found.claims) == len(judged)
    for text, entry in zip(found.claims.values(), judged, strict=True):
        assert entry.claim.id in text
        assert entry.claim.statement in text
        assert entry.claim.domain in text
        assert entry.verdict in text
    links = [attributes["href"] for tag, attributes in found.tags if tag == "a"]
    assert links == [f"#{name}" for name in found.claims]


def test_the_page_filters_by_part_evidence_and_verdict_and_searches_text(
    judged: list[Entry],
) -> None:
    page = as_html(judged, FACTS)
    found = Elements(page)
    fields = {each["name"]: tag for tag, each in found.tags if tag in ("select", "input")}
    chosen = dict.fromkeys(("part", "evidence", "verdict"), "select")
    assert fields == chosen | {"search": "input"}
    offered = {each["value"] for tag, each in found.tags if tag == "option"} - {""}
    articles = [each for tag, each in found.tags if tag == "article"]
    assert offered == {each[f"data-{name}"] for each in articles for name in chosen}
    assert not any(each.get("src") for _, each in found.tags)
    assert "http" not in page


def test_the_page_escapes_text_and_says_facts_in_words(judged: list[Entry]) -> None:
    page = as_html(judged, FACTS)
    assert "<script>alert" not in page
    assert "<script>alert(1)</script> & more" in Elements(page).claims["eq-3"]
    for text in (page, as_markdown(judged, FACTS)):
        assert "False" not in text
        assert "tests: a part of the suite" in text


def test_the_page_fits_narrow_screens_and_dark_ones(judged: list[Entry]) -> None:
    """No table, no fixed width beyond the page's own limit, and words that may break anywhere."""
    page = as_html(judged, FACTS)
    assert "<table" not in page
    assert 'content="width=device-width' in page
    assert "overflow-wrap: anywhere" in page
    assert "prefers-color-scheme: dark" in page


def test_a_part_of_a_page_links_to_where_a_reader_finds_more(judged: list[Entry]) -> None:
    addresses = {"Eq. 13": "formulas#13", "test_it.py::test_it": "source#5"}
    found = Elements(claims_of_page(judged, addresses))
    links = [attributes["href"] for tag, attributes in found.tags if tag == "a"]
    assert links.count("formulas#13") == 1
    assert links.count("source#5") == len(judged)


def test_a_ledger_that_was_written_is_read_back_as_it_was(
    judged: list[Entry], tmp_path: Path
) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(as_json(judged, FACTS), encoding="utf-8")
    ledger = read_json(path)
    assert list(ledger.entries) == judged
    assert ledger.run == FACTS


@pytest.mark.parametrize("text", ["", "[]", '{"run": {}, "claims": [{"id": "Eq. 1"}]}'])
def test_what_is_no_ledger_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"ledger\.json is no ledger"):
        read_json(path)


def test_claims_of_a_part_stand_together() -> None:
    parts = [claim.part for claim in load_claims(CLAIMS_FILE).values()]
    assert all(parts)
    assert len([part for part, _ in groupby(parts)]) == len(set(parts))


# ---------------------------------------------------------------- without pytest in between

PAPER = {
    "Eq. 2": Claim("Eq. 2", "paper", "A proof is possible.", "all", "certified"),
    "Eq. 3": Claim("Eq. 3", "library", "Networks show it.", "all", "statistical"),
    "Misprint Eq. 5": Claim("Misprint Eq. 5", "paper", "A slip.", "all", "misprint"),
}


@pytest.mark.parametrize(
    ("name", "evidence", "expected"),
    [
        ("Eq. 3", None, "statistical"),
        ("Eq. 3", "identity", "identity"),
        ("Eq. 2", None, "identity"),
        ("Eq. 2", "certified", "certified"),
    ],
)
def test_the_evidence_is_the_claims_own_unless_said_and_a_proof_must_be_said(
    name: str, evidence: str | None, expected: str
) -> None:
    links = link(PAPER, "test", [name], evidence=evidence)
    assert [each.evidence for each in links] == [expected]


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ({"printed": "passed", "corrected": "passed"}, "verified"),
        ({"printed": "passed", "corrected": "failed"}, "refuted"),
        ({"printed": "failed", "corrected": "passed"}, "refuted"),
        ({"printed": "passed"}, "open"),
        ({"corrected": "passed"}, "open"),
        ({"printed": "passed", "corrected": "skipped"}, "skipped"),
        ({}, "open"),
    ],
)
def test_a_misprint_needs_both_readings(outcomes: dict[str, str], verdict: str) -> None:
    links = [Link(reading, "Misprint Eq. 5", "misprint", reading) for reading in outcomes]
    results = {reading: Outcome(status) for reading, status in outcomes.items()}
    entries = {entry.claim.id: entry for entry in decide(PAPER, links, results, complete=True)}
    assert entries["Misprint Eq. 5"].verdict == verdict


def test_the_strongest_evidence_that_passed_is_the_one_named() -> None:
    links = [Link("a", "Eq. 2", "statistical"), Link("b", "Eq. 2", "certified")]
    both = decide(PAPER, links, {"a": Outcome("passed"), "b": Outcome("passed")}, complete=True)
    one = decide(PAPER, links, {"a": Outcome("passed"), "b": Outcome("skipped")}, complete=True)
    assert (both[0].evidence, one[0].evidence) == ("certified", "statistical")


def test_ids_are_listed_with_runs_joined() -> None:
    ids = ["Eq. 7", "Eq. 8", "Eq. 9", "Eq. 12", "Fig. 4a", "Fig. 2", "Table 1", "Table 2"]
    ids += ["Misprint Eq. 5", "Misprint Eq. 6", "Misprint App. B", "Networks: a", "Networks: b"]
    assert short_list(ids) == (
        "Eqs. 7-9, 12; Fig. 2; Tables 1, 2; Misprint Eqs. 5, 6; Networks: a, b; Fig. 4a; "
        "Misprint App. B"
    )


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_printed_ledger_names_every_claim_within_the_width(width: int) -> None:
    claims = load_claims(CLAIMS_FILE)
    names = list(claims)
    links = [
        each
        for name in names[::3]
        for each in link(claims, name, [name], reading=_reading(claims[name]))
    ]
    results = {
        each.nodeid: Outcome("passed" if i % 2 else "failed") for i, each in enumerate(links)
    }
    entries = decide(claims, links, results, complete=True)
    lines = [line for _, line in terminal_lines(entries, width)]
    assert max(map(len, lines)) <= width
    listed = sum(entry.verdict != "verified" for entry in entries)
    assert sum(not line.startswith(" ") for line in lines) >= listed
    papers = sum(claim.source == "paper" for claim in claims.values())
    total = f"{papers} claims of the paper, {len(claims) - papers} of this library: "
    assert headline(entries).startswith(total)


def _reading(claim: Claim) -> str | None:
    return "both" if claim.evidence == "misprint" else None


CLAIM_A = '[[claim]]\nid = "A"\nstatement = ""\ndomain = ""\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[claim]]\nid = "A"\n', "claim 'A' must have id, source, statement, domain"),
        (f'{CLAIM_A}evidence = "x"\nsource = "paper"', "has the evidence 'x'"),
        (f'{CLAIM_A}evidence = "identity"\nsource = "y"', "has the source 'y'"),
        ("[[claim", "cannot read the claims file"),
    ],
)
def test_a_claims_file_with_a_mistake_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "claims.toml"
    file.write_text(text)
    with pytest.raises(ClaimError, match=complaint):
        load_claims(file)


def test_the_claims_file_has_every_equation_table_and_figure() -> None:
    ids = " ".join(load_claims(CLAIMS_FILE))
    wanted = [f"Eq. {n}" for n in range(1, 64)]
    wanted += [f"Table {n}" for n in range(1, 6)] + [f"Fig. {n}" for n in range(1, 15)]
    assert [name for name in wanted if name not in ids] == []
