"""docs/tutorial.md does what it says: its commands are run, its files written, its output compared, in its order."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import environment
from tests.support.reader import POLL, STOP, Run, Shell, difference, machine, play
from tests.support.template import ROOT
from tests.test_boot import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TUTORIAL = ROOT / "docs" / "tutorial.md"

# The two lines that are the reader's: where the template is, and a port.
TEMPLATE_LINE = "TEMPLATE=gh:OWNER/breakwater"
PORT_LINE = "PORT=8000"

FINDING = re.compile(r"^app/handlers/\w+\.py:(\d+):\d+: (BW\d+)$", re.MULTILINE)
LISTED = re.compile(r"^\| ([\d, ]+) \| (BW\d+) \|", re.MULTILINE)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    folder = tmp_path / "newcomer"
    folder.mkdir()
    with Shell(folder, machine(tmp_path, uv=False), tmp_path / "printed") as started:
        yield started


def mine(page: str, template: Path, port: int) -> str:
    """Return the page with the reader's own values in the two lines that have them."""
    for line, own in ((TEMPLATE_LINE, f"TEMPLATE='{template}'"), (PORT_LINE, f"PORT={port}")):
        assert page.count(f"\n{line}\n") == 1, f"the page has not one line {line}"
        page = page.replace(f"\n{line}\n", f"\n{own}\n")
    return page


def test_a_newcomer_gets_a_generated_handler_admitted_and_running(
    template: Path, tmp_path: Path, shell: Shell, figures: dict[str, str]
) -> None:
    port, begun = free_port(), time.monotonic()
    page, ready, found = TUTORIAL.read_text("utf-8"), list[float](), set[tuple[str, str]]()

    def done(run: Run, printed: str) -> None:
        if "/readyz" in run.script:
            ready.append(time.monotonic() - begun)
        found.update(FINDING.findall(printed))

    try:
        play(mine(page, template, port), shell, done)
    except AssertionError as error:
        for log in tmp_path.glob("newcomer/*.log"):
            error.add_note(f"the end of {log.name}:\n{log.read_text('utf-8', 'replace')[-4000:]}")
        raise
    figures["tutorial, generate and /readyz"] = f"{ready[0]:.1f} s"
    figures["tutorial, end to end"] = f"{time.monotonic() - begun:.1f} s"
    end = time.monotonic() + STOP
    while (left := shell.left()) and time.monotonic() < end:
        time.sleep(POLL)
    assert left == []  # the page ends what it begins
    listed = {(line, rule) for lines, rule in LISTED.findall(page) for line in lines.split(", ")}
    assert found == listed


PRINTED = "uv is fetched\n\nsource    3 files      0.01 s  2 refusals\na.py:1\n  mend: this\na.py:2\nrefused\n"


@pytest.mark.parametrize(
    "shown",
    [
        PRINTED,
        "...",
        "uv ...\n...\nrefused",
        "...\nsource 3 files <seconds> s 2 refusals\n...",
        "...\na.py:<line>\n  mend: this\n...",
        "...\na.py:1\n...\na.py:2\n...",
    ],
)
def test_a_page_may_leave_out_what_it_says_it_leaves_out(shown: str) -> None:
    assert difference(shown, PRINTED) is None


@pytest.mark.parametrize(
    ("shown", "named"),
    [
        ("...\nsource 3 files <seconds> s 3 refusals\n...", "3 refusals"),
        ("...\na.py:2\n...\na.py:1\n...", "a.py:1"),
        ("...\na.py:1\na.py:2\n...", "a.py:1"),
        ("...\na.py:1", "a.py:1"),
        ("a.py:1\n...", "a.py:1"),
        ("uv is fetched", "uv is fetched"),
        ("...\nrefused\nagain", "again"),
        ("uv <rest>\n...", "<rest>"),
        (PRINTED + "more", "more"),
        ("", "nothing more"),
    ],
    ids=["another", "order", "not adjacent", "not the end", "not the beginning", "not all", "after the end", "space",
         "more", "less"],
)  # fmt: skip
def test_a_line_that_a_page_shows_and_nothing_printed_is_named(shown: str, named: str) -> None:
    assert named in str(difference(shown, PRINTED))


def page_of(*blocks: str) -> str:
    return "\n".join(f"Words.\n\n```{block}\n```\n" for block in blocks)


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        (
            ["sh\necho one", "text\ntwo"],
            r"line 3:\s+echo one\s+at the beginning the page shows:\s+two\s+it printed:\s+one",
        ),
        (["sh\nfalse\necho one"], r"ended the shell with 1, not with 0:\s+false"),
        (["sh\necho $MISSING"], "MISSING: "),
        (["sh exit=1\ntrue"], "ended with 0, not with 1"),
        (["python\n# app/a.py\n"], "its folder is not there"),
        (["toml\n# policy.toml, appended\n"], "is not there"),
        (["python\nprint()"], "its first line does not name a file"),
        (["text\nsaid"], "no command is before it"),
        (["sh\ntrue", "text\n", "text\n"], "is shown already"),
        (["json\n{}"], "neither a command"),
        (["sh maybe\ntrue"], "only exit=NUMBER"),
    ],
)
def test_a_page_that_is_wrong_fails(shell: Shell, blocks: list[str], problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        play(page_of(*blocks), shell)


def test_a_shell_stays_as_a_terminal_does(shell: Shell) -> None:
    play(
        page_of(
            'sh\nmkdir app\ncd app\nNAME=one\nsay() { echo "said $1"; }',
            "python\n# name.py\nprint()\n",
            "toml\n# name.py, appended\n",
            'sh exit=3\nsay "$NAME"\ncat name.py\n(exit 3)',
            "text\nsaid one\n# name.py\nprint()\n# name.py, appended",
            "sh\ntrue",
        ),
        shell,
    )


def test_what_a_page_leaves_running_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    with Shell(tmp_path, environment(), tmp_path / "printed") as shell:
        assert shell.left() == []
        shell.run("sleep 600 >held &")
        held = (tmp_path / "held").open("rb", buffering=0)  # opens when the other end does
        os.set_blocking(held.fileno(), False)
        assert held.read() is None  # somebody has it open for writing
        assert len(shell.left()) == 1
    with held:
        assert held.read() == b""  # nobody has
