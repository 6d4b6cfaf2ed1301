"""Ruff and mypy judge handlers, and no comment in a handler has a say in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from admission.layers.lint import judge_lint
from admission.layers.tools import EngineFailed, run_engine, without_comments
from admission.layers.types import judge_types
from tests.admission.sources import ROOT, examples, good, marked, write


@pytest.mark.parametrize("rule", ["BW611", "BW612"])
def test_the_examples_of_ruff_s_pages(tmp_path: Path, rule: str) -> None:
    bad, fine = examples(rule)
    found = judge_lint([write(tmp_path, "bad.py", bad), write(tmp_path, "fine.py", fine)], ROOT)
    assert {(finding.rule, Path(finding.file).name, finding.line) for finding in found} == {
        (rule, "bad.py", line) for line in marked(bad, rule)
    }


@pytest.fixture(scope="module")
def types_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("types")


def test_the_examples_of_mypy_s_pages_and_a_comment_that_asks_for_silence(tmp_path: Path, types_cache: Path) -> None:
    sources, want = [], set()
    for rule in ("BW601", "BW602"):
        bad, fine = examples(rule)
        sources += [write(tmp_path, f"{rule}_bad.py", bad), write(tmp_path, f"{rule}_fine.py", fine)]
        want |= {(rule, f"{rule}_bad.py", line) for line in marked(bad, rule)}
    hushed = examples("BW601")[0].replace("# <- BW601", "# type: ignore")
    sources.append(write(tmp_path, "hushed.py", "# mypy: ignore-errors\n" + hushed))
    want.add(("BW601", "hushed.py", marked(examples("BW601")[0], "BW601")[0] + 1))
    found = judge_types(sources, ROOT, types_cache)
    assert {(finding.rule, Path(finding.file).name, finding.line) for finding in found} == want


def test_a_comment_does_not_switch_ruff_off(tmp_path: Path) -> None:
    bad = "# ruff: noqa\nprint(nothing_like_it)  # noqa\n"
    (found,) = judge_lint([write(tmp_path, "bad.py", bad)], ROOT)
    assert (found.rule, found.line, found.severity) == ("BW611", 2, "refuse")


def test_a_clean_handler_is_clean(tmp_path: Path) -> None:
    assert judge_lint([write(tmp_path, "a.py", good("a"))], ROOT) == []


def test_comments_go_and_everything_else_stays_where_it_was() -> None:
    text = 'x = \'#\'  # one\r\n# two\ny = """\n# three\n"""\n'
    assert without_comments(text) == 'x = \'#\'       \r\n     \ny = """\n# three\n"""\n'
    assert without_comments("x = (\n# open") == "x = (\n# open"


def test_an_engine_that_is_not_there_or_hangs_is_no_verdict() -> None:
    with pytest.raises(EngineFailed, match="not installed"):
        run_engine("no_such_engine_at_all", [], ROOT, 10)
    with pytest.raises(EngineFailed, match="longer than"):
        run_engine("http.server", ["0", "--bind", "127.0.0.1"], ROOT, 0.5)
