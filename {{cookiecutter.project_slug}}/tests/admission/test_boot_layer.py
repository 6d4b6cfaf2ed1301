"""Handlers are loaded in a process that they can break, end or stop, and none of it harms the gate."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from admission.layers import boot
from admission.layers.boot import Boot, judge_boot
from admission.layers.fingerprint import Fingerprint
from admission.layers.tools import EngineFailed
from tests.admission.sources import ROOT, examples, good, marked, write

HOSTILE = {
    "decorator.py": (
        "BW905",
        good("a") + "\n\ndef boom(function):\n    raise RuntimeError('x')\n\n\n@boom\ndef b(): ...\n",
    ),
    "exits.py": ("BW905", "import sys\n\n" + good("b") + "\n\nsys.exit(0)\n"),
    "threads.py": (
        "BW908",
        "import threading\nimport time\n\n"
        + good("c")
        + "\n\nthreading.Thread(target=time.sleep, args=(60,)).start()\n",
    ),
    "forks.py": (
        "BW908",
        "import os\n\n" + good("d") + "\n\nif os.fork() == 0:\n    import time\n    time.sleep(60)\n",
    ),
    "guards.py": ("BW909", "import app.main\n\n" + good("e") + "\n\napp.main.GUARDS = ()\n"),
    "builtin.py": ("BW909", "import builtins\n\n" + good("f") + "\n\nbuiltins.abs = lambda _: 0\n"),
    "signals.py": ("BW909", "import signal\n\n" + good("g") + "\n\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"),
    "websocket.py": ("BW910", good("h") + "\n\n@router.websocket('/ws')\nasync def ws() -> None: ...\n"),
}


def names(judged: Boot) -> set[tuple[str, str]]:
    return {(Path(finding.file).name, finding.rule) for finding in judged.findings}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Boot:
    folder = tmp_path_factory.mktemp("hostile")
    sources = [write(folder, name, text) for name, (_, text) in HOSTILE.items()]
    sources += [
        write(folder, f"{rule.lower()}.py", examples(rule)[0].replace("/v1/things", f"/v1/{rule}"))
        for rule in ("BW905", "BW908", "BW909", "BW910")
    ]
    return judge_boot(sources, ROOT)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_named(hostile: Boot, name: str) -> None:
    assert (name, HOSTILE[name][0]) in names(hostile)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_not_named_for_what_another_does(hostile: Boot, name: str) -> None:
    assert {rule for file, rule in names(hostile) if file == name} == {HOSTILE[name][0]}


@pytest.mark.parametrize("rule", ["BW905", "BW908", "BW909", "BW910"])
def test_the_bad_example_of_a_page_is_found_on_its_line(hostile: Boot, rule: str) -> None:
    found = {
        finding.line
        for finding in hostile.findings
        if Path(finding.file).name == f"{rule.lower()}.py" and finding.rule == rule
    }
    assert found == set(marked(examples(rule)[0], rule))


def test_good_examples_load_and_only_the_policy_lacks_them(tmp_path: Path) -> None:
    sources = [
        write(tmp_path, f"{rule.lower()}.py", examples(rule)[1].replace("/v1/things", f"/v1/{rule}"))
        for rule in ("BW901", "BW905", "BW906", "BW907", "BW908", "BW909", "BW910")
    ]
    bad = examples("BW912")[0]
    judged = judge_boot([*sources, write(tmp_path, "bw912.py", bad)], ROOT)
    assert {finding.rule for finding in judged.findings} == {"BW912"}
    assert {finding.severity for finding in judged.findings} == {"remark"}
    assert [finding.line for finding in judged.findings if "bw912" in finding.file] == marked(bad, "BW912")
    (entry,) = [finding.mend for finding in judged.findings if "bw912" in finding.file]
    assert '[routes."GET /v1/things"]' in entry
    assert entry.startswith("# For policy.toml, which is people's")
    assert judged.count is not None


def test_a_handler_whose_loading_does_not_end_is_cut_and_its_line_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "START_SECONDS", 3600.0)  # so that it is the handler's own time which ends
    bad = examples("BW906")[0]
    judged = judge_boot([write(tmp_path, "hangs.py", bad)], ROOT, seconds=2)
    assert [(finding.rule, finding.line) for finding in judged.findings] in (
        [
            ("BW906", line),
        ]
        for line in range(marked(bad, "BW906")[0], marked(bad, "BW906")[0] + 2)
    )


def test_a_slow_machine_is_no_fault_of_a_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "START_SECONDS", 0.01)  # no machine loads the scaffold in that
    with pytest.raises(EngineFailed, match=r"without a handler, did not load within 0\.01 s"):
        judge_boot([write(tmp_path, "good.py", good("a"))], ROOT)


def test_a_handler_that_ends_the_process_is_named(tmp_path: Path) -> None:
    bad = examples("BW907")[0]
    judged = judge_boot([write(tmp_path, "ends.py", bad)], ROOT)
    assert [(finding.rule, finding.line) for finding in judged.findings] == [("BW907", marked(bad, "BW907")[0])]
    assert "status 3" in judged.findings[0].message


def test_settings_that_are_refused_are_said_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_JWKS_URL", "ftp://keys")
    judged = judge_boot([], ROOT)
    assert {finding.rule for finding in judged.findings} == {"BW911"}
    assert any("APP_JWKS_URL" in finding.message for finding in judged.findings)
    assert {finding.file for finding in judged.findings} == {""}


def test_a_shell_that_ignores_the_interrupt_is_no_fault_of_a_handler() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a job that a script put into the background
    try:
        judged = judge_boot([], ROOT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert judged.findings == []


def test_what_a_handler_started_does_not_outlive_the_gate(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = good("x") + (
        f"\n\nimport os, time\npid = os.fork()\nif pid == 0:\n    time.sleep(60)\nelse:\n"
        f"    open({str(note)!r}, 'w').write(str(pid))\n    os._exit(0)\n"
    )
    judge_boot([write(tmp_path, "leaves.py", text)], ROOT)
    assert _has_ended(int(note.read_text()))


def _has_ended(pid: int) -> bool:
    """Tell whether a process has ended; it was killed, but who adopted it has to notice."""
    state = Path(f"/proc/{pid}/stat")
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_nothing_has_changed_where_nothing_was_done() -> None:
    assert Fingerprint.take().changed(Fingerprint.take()) == []
