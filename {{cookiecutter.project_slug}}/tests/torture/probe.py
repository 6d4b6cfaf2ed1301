"""Asks for something unrelated fifty times a second, from a process of its own, until its standard input ends.

``python -m tests.torture.probe TOKEN PORT...`` prints how long each request took, in seconds, as JSON. In the process
that floods the service it would measure how busy that one is.
"""

from __future__ import annotations

import http.client
import json
import select
import sys
import time

INTERVAL = 0.02
WARM_UP = 5
"""Requests to each process that are not counted: the first opens the connection, the next fill caches."""


def main(token: str, ports: list[int]) -> list[float]:
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for port in ports]
    taken: list[float] = []
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        connection = connections[len(taken) % len(connections)]
        started = time.perf_counter()
        connection.request("GET", "/v1/inventory", headers={"authorization": token})
        answer = connection.getresponse()
        answer.read()
        taken.append(time.perf_counter() - started)
        if answer.status != http.client.OK:
            raise SystemExit(f"the unrelated request got {answer.status}")
    return taken[WARM_UP * len(ports) :]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], [int(port) for port in sys.argv[2:]])))
