"""The last layer: every route of the handlers that are judged is attacked, over real sockets.

The attacks are tests of the service (``tests/gauntlet``); this starts them in a process of their own and reads what
came of it. What was attacked once is not attacked again until something changes that it could depend on.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from admission.cache import Cache, tree_hash
from admission.finding import Finding
from admission.layers.tools import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from admission.files import Source

NOT_EXERCISED: Final = "BW713"
SECONDS: Final = 60.0
"""For the service to start and stop, twice."""

SECONDS_A_ROUTE: Final = 60.0
"""Twice what one route may take on two cores, so that only what hangs is cut."""

_GUARD: Final = re.compile(r"\(guard: (\w+)\)")
_MENDS: Final = {
    "BW701": "Who may call is the policy's business: leave `allow` in policy.toml and take nothing over in the handler.",
    "BW702": "Name the permissions in `allow` in policy.toml; the handler does not decide it.",
    "BW703": "Have the model inherit from `Owned`: what belongs to somebody else is then not found.",
    "BW704": "Leave the effect to the session of the request: it is committed once a key. What happens elsewhere takes `EffectKey`.",
    "BW705": "Give the route a `rate` in policy.toml.",
    "BW706": "Leave `max_body` and `body_timeout` to the policy, read the body through a model, and a file in pieces (`await file.read(65_536)`).",
    "BW707": "Bound every field (`Field` or `Form(max_length=..., ge=..., le=..., pattern=...)`) so that what cannot be stored is a 422.",
    "BW708": "Await only what can be cancelled, and nothing that blocks the loop.",
    "BW709": "Let errors pass: they become problems, and the transaction is rolled back.",
    "BW710": "Answer with a model of what the client may see; log ids, not what was sent.",
    "BW711": "Leave logging, tracing and metrics of requests to the service.",
    "BW712": "Return a model or raise HTTPException; do not build responses by hand.",
}
_PEOPLES: Final = "People own this guard: see EDGE and GUARDS in app/main.py, and policy.toml."


def judge_gauntlet(
    sources: Sequence[Source],
    routes: Sequence[dict[str, Any]],
    root: Path,
    cache: Path | None,
    progress: Callable[[str], None],
) -> tuple[list[Finding], str, str | None]:
    """Attack the routes of the sources; return findings, what was attacked, and a note.

    Raises:
        EngineFailed: the attacks could not be made.
    """
    by_file = {source.name: source for source in sources}
    chosen = [route for route in routes if route["file"] in by_file]
    if not chosen:
        return [], "no route", "no file that was named has a route" if sources else None
    judged = f"{len(chosen)} route" if len(chosen) == 1 else f"{len(chosen)} routes"
    names = sorted(f"{route['method']} {route['path']}" for route in chosen)
    memory = Cache(cache)
    parts = [root / name for name in ("app", "tests/gauntlet", "tests/support", "policy.toml", "migrations", "uv.lock")]
    scaffold = tree_hash(path for path in parts if path.exists())
    key = memory.key("gauntlet", scaffold.encode(), *(name.encode() for name in names), *_candidates(sources))
    found = memory.get(key)
    if found is not None:
        return found, judged, "unchanged"
    found = [_finding(entry, by_file) for entry in _attack(sources, names, root, progress)]
    memory.put(key, found)
    return found, judged, None


def _candidates(sources: Sequence[Source]) -> list[bytes]:
    return [source.data for source in sources if not source.mounted]


def _attack(sources: Sequence[Source], names: Sequence[str], root: Path, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="admission-") as folder:
        command = [sys.executable, "-m", "tests.gauntlet", "--json"]
        command += _place(sources, Path(folder).resolve(), root)
        results = _run([*command, *names], root, SECONDS + SECONDS_A_ROUTE * len(names), progress)
    entries = []
    for result in results:
        base = {"file": _name(result["file"], sources), "line": result["line"], "route": result["route"]}
        entries += [{**base, **fault} for fault in result["faults"]]
        missed: dict[str, list[str]] = {}
        for attack, outcome in result["outcomes"].items():
            if outcome not in {"ok", "fault", "-"}:
                missed.setdefault(outcome, []).append(attack)
        entries += [{**base, "rule": NOT_EXERCISED, "text": f"{', '.join(attacks)}: {reason}"} for reason, attacks in missed.items()]
    return entries


def _place(sources: Sequence[Source], folder: Path, root: Path) -> list[str]:
    """Put the files that are not among the handlers where the gauntlet loads them, with a policy that knows them."""
    candidates = [source for source in sources if not source.mounted]
    if not candidates:
        return []
    from admission.layers.boot import candidate_name, missing_entries  # noqa: PLC0415 - boot has run before

    (folder / "handlers").mkdir()
    for number, source in enumerate(candidates):
        (folder / "handlers" / candidate_name(number, source)).write_bytes(source.data)
    shutil.copy(root / "policy.toml", folder / "policy.toml")
    with (folder / "policy.toml").open("a", encoding="utf-8") as policy:
        policy.write("\n" + missing_entries(sources, root))
    return ["--candidates", str(folder / "handlers")]


def _run(command: Sequence[str], root: Path, seconds: float, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    process = subprocess.Popen(  # noqa: S603 - the service's own tests
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    said: list[str] = []

    def follow() -> None:
        for line in process.stderr or ():
            said.append(line)
            if line.startswith("  "):
                progress(line.rstrip())

    follower = threading.Thread(target=follow, daemon=True)
    killer = threading.Timer(seconds, _kill, [process.pid])
    follower.start()
    killer.start()
    try:
        output = process.stdout.read() if process.stdout else ""
        process.wait()
    finally:
        killer.cancel()
        _kill(process.pid)
        follower.join(timeout=5)
    if process.returncode not in {0, 1}:
        raise EngineFailed(f"the gauntlet ended with {process.returncode}: {''.join(said)[-1500:].strip()}")
    try:
        results: list[dict[str, Any]] = json.loads(output)
    except ValueError as error:
        raise EngineFailed(f"the gauntlet did not report: {''.join(said)[-1500:].strip()}") from error
    return results


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _name(file: str, sources: Sequence[Source]) -> str:
    for number, source in enumerate(source for source in sources if not source.mounted):
        if f"candidate_{number}_" in file:
            return source.name
    return file


def _finding(entry: dict[str, Any], by_file: dict[str, Source]) -> Finding:
    rule, line = entry["rule"], max(int(entry["line"]), 1)
    file = entry["file"] if entry["file"] in by_file else ""
    if rule == NOT_EXERCISED:
        mend = "Give its models `examples=[...]` with which it succeeds, or a route by which what it needs can be made."
    else:
        mend = _MENDS.get(rule, "")
        guard = _GUARD.search(entry["text"])
        mend = f"{mend} {_PEOPLES}" if guard else mend
    message = f"{entry['route']}: {entry['text']}"
    severity = "remark" if rule == NOT_EXERCISED else "refuse"
    return Finding(rule, file, line, 1, line, 2, f"{message.rstrip('.')}.", mend.strip(), severity)  # type: ignore[arg-type]
