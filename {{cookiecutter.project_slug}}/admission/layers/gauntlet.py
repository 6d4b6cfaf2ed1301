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
    "BW701": "Leave it to the service who is calling: read no token, cookie or credential in the handler. `caller: Caller` from `app.dependencies` is who was verified.",
    "BW702": "Compare no role in the handler: who may call stands in `allow` in policy.toml, which is people's.",
    "BW703": "Have the model belong to its owner, `class Thing(Owned, Base)` from `app.models.base`; load it by `session: Session`, keep none of it in a variable of the module, and answer with `HTTPException(404)` where it is `None`.",
    "BW704": "Have every effect take part in the request's transaction: write through `session: Session`, and nowhere else. A declared service (`payments: Payments`) takes the request's key by itself; a call by other means takes `effect_key: EffectKey`.",
    "BW705": "No handler counts requests. Take out what answers 429 in it; the `rate` of the route's entry in policy.toml is people's.",
    "BW706": "Take the body as a parameter (a model, `Form`, `UploadFile`), not from `Request`, and read a file in pieces (`await file.read(65_536)`) that are not kept.",
    "BW707": "Bound every parameter and field by what the code behind it can take (`Field`, `Form`, `Path` or `Query` with `max_length`, `ge`, `le`, `pattern`), so that anything else is a 422; where two callers can collide, catch `IntegrityError` round `session.begin_nested()` and answer 409.",
    "BW708": "Wait only by `await`, for what can be cancelled; block nothing in `async def`; and do not work longer the more is sent, or bound how much that is.",
    "BW709": "Let errors pass, those of the database and of declared services too: no `except` that hides them, and no effect outside of `session`. They become problems, and the transaction is rolled back.",
    "BW710": "Answer with a response model that names what the client may see, and with constant texts in `HTTPException`; log ids and counts, not what was sent.",
    "BW711": "Leave logging, tracing and metrics of requests to the service: the handler configures none of them.",
    "BW712": "Return a model, or raise `HTTPException` with a constant text; build no `Response` and set no header of security by hand.",
    "BW714": "The handler neither opens files or sockets nor starts processes nor runs text as code; it calls declared services only. Which of them stands in `outbound` in policy.toml, which is people's.",
}
_PEOPLES: Final = "If the handler does so already, the guard `{}` failed, which is people's (app/main.py, policy.toml): show them this finding."
_UNSEEN: Final = (
    (
        re.compile(r"the route is closed"),
        "Its entry in policy.toml lets nobody in yet. Show this to a person, who opens it; nothing in the handler is wrong.",
    ),
    (
        re.compile(r"there is no simulator of"),
        "Show this to a person: what these services would answer is known to no simulator (app/simulators). Nothing in the handler is wrong.",
    ),
    (
        re.compile(r"what a body of"),
        "Take JSON (a model), a form (`Form`) or a file (`UploadFile`) where that can be; what else a body may hold is not known to the attacks.",
    ),
    (
        re.compile(r"would be needed|would have to be sent|a body may take|take longer than|how much memory"),
        "Show this to a person: the route's entry in policy.toml, or this machine, allows more than is tried here. Nothing in the handler is wrong.",
    ),
    (
        re.compile(r"without a call to them"),
        "If it should call them for any request, give its models `examples=[...]` for which it does; else show a person that `outbound` in its entry may go.",
    ),
)
"""What to do about an attack that could not be made, by its reason."""

_EXAMPLES: Final = 'Give the fields and parameters `examples=[...]` with which the route succeeds (`Field(examples=["AB-12"])`, `Path(examples=[...])`), or offer a route by which what it needs can be made.'


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


def _attack(
    sources: Sequence[Source], names: Sequence[str], root: Path, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
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
        entries += [
            {**base, "rule": NOT_EXERCISED, "text": f"{', '.join(attacks)}: {reason}"}
            for reason, attacks in missed.items()
        ]
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
        mend = next((mend for reason, mend in _UNSEEN if reason.search(entry["text"])), _EXAMPLES)
    else:
        guard = _GUARD.search(entry["text"])
        mend = _MENDS[rule] + (f" {_PEOPLES.format(guard[1])}" if guard else "")
    message = f"{entry['route']}: {entry['text']}"
    severity = "remark" if rule == NOT_EXERCISED else "refuse"
    return Finding(rule, file, line, 1, line, 2, f"{message.rstrip('.')}.", mend, severity)  # type: ignore[arg-type]
