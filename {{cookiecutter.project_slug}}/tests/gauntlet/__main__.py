"""``python -m tests.gauntlet``: attack every route, print a table, end with 1 if anything was found.

``--mutations`` leaves out one layer or guard after the other, and ends with 0 only if each absence was noticed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path

from tests.gauntlet.mutations import run_mutations
from tests.gauntlet.report import not_made, table
from tests.gauntlet.run import run_gauntlet
from tests.gauntlet.service import DidNotStart
from tests.support.postgres_server import postgres_server

COULD_NOT_RUN = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gauntlet", description=__doc__)
    parser.add_argument("routes", nargs="*", help="such as 'GET /v1/orders'; all by default")
    parser.add_argument("--candidates", type=Path, help="a folder with handlers that are not among the service's")
    parser.add_argument("--without", help="leave out a layer or guard")
    parser.add_argument("--mutations", action="store_true", help="leave out each layer and guard in turn")
    parser.add_argument("--postgresql", action="store_true", help="on a PostgreSQL server of its own, not on a file")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    only = set(options.routes) or None
    if options.mutations:
        return run_mutations(only, _say)
    try:
        with postgres_server() if options.postgresql else contextlib.nullcontext() as postgres:
            results = run_gauntlet(
                only=only, without=options.without, candidates=options.candidates, postgres=postgres, progress=_say
            )
    except DidNotStart as error:
        print(f"the service does not start:\n{error}", file=sys.stderr)
        return COULD_NOT_RUN
    if options.json:
        print(json.dumps([result.as_dict() for result in results]))
    else:
        print(table(results))
        for result in results:
            for fault in result.faults:
                print(f"{result.file}:{result.line}: {fault.rule} {result.name}: {fault.text}")
            for said in not_made(result):
                print(f"{result.file}:{result.line}: {result.name}: not attacked: {said}")
    return 1 if any(result.faults for result in results) else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
