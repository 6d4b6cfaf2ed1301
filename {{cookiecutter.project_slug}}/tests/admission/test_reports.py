"""The same report for people, programs, code scanners and GitHub: each in its own form, and none to be broken."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import jsonschema_rs
import pytest

from admission.finding import Finding, Severity
from admission.pages import nearest, page, titles
from admission.report import LayerResult, Report, Suppression, Verdict
from admission.reports import FORMS

HERE = Path(__file__).parent
SCHEMA = HERE.parents[1] / "admission" / "report.schema.json"
HOSTILE = "a%b\r\nc::error::d\x1b[31m,e:f"


def finding(
    severity: Severity = "refuse", *, file: str = "app/handlers/a.py", line: int = 2, rule: str = "BW101"
) -> Finding:
    return Finding(rule, file, line, 5, line, 9, "It is wrong. It matters.", "Write it right.", severity)


def report(*findings: Finding, suppressed: bool = False, failure: str | None = None) -> Report:
    made = Report(
        layers=[LayerResult("source", 0.1234, "1 file", findings), LayerResult("boot", 1, "0 routes", (), failure)],
        findings=list(findings),
        lines={"app/handlers/a.py": ["import x", "    evil(é)", ""], "a,b:c.py": ["x"]},
        routes=3,
        files=["app/handlers/a.py"],
    )
    if suppressed:
        entry = Suppression("BW405", "app/handlers/a.py", "one row a country", date(2027, 1, 31), None, 4)
        made.suppressed.append((finding(rule="BW405"), entry))
    return made


EVERY = [
    report(),
    report(finding()),
    report(finding("remark"), suppressed=True),
    report(finding(file=""), finding(line=99), failure="it broke"),
    report(finding(file="a,b:c.py", line=1)),
]


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [((), Verdict.ADMITTED), (("remark",), Verdict.REMARKS), (("remark", "refuse"), Verdict.REFUSED)],
)
def test_the_verdict_follows_from_the_findings(findings: tuple[Severity, ...], verdict: Verdict) -> None:
    assert report(*map(finding, findings)).verdict is verdict


@pytest.mark.parametrize("made", EVERY)
def test_json_keeps_to_its_schema(made: Report) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema_rs.validator_for(schema).validate(json.loads(FORMS["json"](made)))


def test_the_schema_refuses_what_is_no_report() -> None:
    schema = json.loads(SCHEMA.read_text())
    document = json.loads(FORMS["json"](report(finding())))
    del document["findings"][0]["mend"]
    assert not jsonschema_rs.validator_for(schema).is_valid(document)


@pytest.mark.parametrize("made", EVERY)
def test_sarif_keeps_to_the_standard_s_schema(made: Report) -> None:
    schema = json.loads((HERE / "sarif-2.1.0.schema.json").read_text())
    jsonschema_rs.Draft4Validator(schema).validate(json.loads(FORMS["sarif"](made)))


def test_sarif_says_what_it_found_where_and_what_is_suppressed() -> None:
    (run,) = json.loads(FORMS["sarif"](report(finding(), suppressed=True)))["runs"]
    first, second = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "app/handlers/a.py"
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (2, 5)
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == "BW101"
    assert second["suppressions"][0]["kind"] == "external"
    assert "one row a country" in second["suppressions"][0]["justification"]


def test_a_fault_keeps_its_identity_when_lines_above_it_move() -> None:
    def identity(made: Report) -> object:
        return json.loads(FORMS["sarif"](made))["runs"][0]["results"][0]["partialFingerprints"]

    moved = report(finding(line=3))
    moved.lines["app/handlers/a.py"].insert(0, "# new")
    assert identity(moved) == identity(report(finding()))


def test_github_is_told_in_commands_that_nothing_can_break_out_of() -> None:
    bad = Finding("BW101", "a,b:c.py", 1, 1, 1, 2, HOSTILE, HOSTILE, "remark")
    lines = FORMS["github"](report(bad)).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(
        "::warning file=a%2Cb%3Ac.py,line=1,endLine=1,col=1,endColumn=2,title=BW101::a%25b%0D%0Ac"
    )


def test_github_is_told_of_a_layer_that_could_not_run() -> None:
    assert "::error title=could not run::boot: it broke" in FORMS["github"](report(failure="it broke"))


def test_people_see_the_line_the_caret_and_the_mend() -> None:
    text = FORMS["text"](report(finding()))
    assert "app/handlers/a.py:2:5: BW101\n  2 |     evil(é)\n    |     ^^^^\n  It is wrong. It matters.\n" in text
    assert "  mend: Write it right.\n" in text
    assert text.endswith("refused: 1 problem, 0 remarks\n")


def test_people_see_what_is_suppressed_and_until_when() -> None:
    text = FORMS["text"](report(suppressed=True))
    assert "app/handlers/a.py:2: BW405 until 2027-01-31: one row a country" in text


def test_nothing_is_admitted_where_a_layer_could_not_run() -> None:
    text = FORMS["text"](report(failure="mypy is not installed"))
    assert "not admitted" in text
    assert "mypy is not installed" in text


def test_no_finding_moves_the_cursor_of_a_terminal() -> None:
    made = report(Finding("BW101", "app/handlers/a.py", 1, 1, 1, 2, HOSTILE, HOSTILE, "refuse"))
    made.lines["app/handlers/a.py"] = ["\x1b[2Jimport x"]
    text = FORMS["text"](made)
    assert "\x1b" not in text
    assert "\r" not in text


def test_a_long_line_is_cut_round_the_finding() -> None:
    made = report(Finding("BW101", "app/handlers/a.py", 1, 501, 1, 505, "Wrong.", "Right.", "refuse"))
    made.lines["app/handlers/a.py"] = ["x" * 500 + "EVIL" + "x" * 5000]
    shown, caret = FORMS["text"](made).splitlines()[1:3]
    assert len(shown) < 200
    assert shown[caret.index("^") : caret.rindex("^") + 1] == "EVIL"


def test_every_rule_has_a_page_and_a_wrong_id_a_suggestion() -> None:
    assert len(titles()) > 80
    assert page("bw101") is not None
    assert page("BW999") is None
    assert "BW101" in nearest("BW1011")
