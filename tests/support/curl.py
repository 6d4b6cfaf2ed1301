"""Does of curl what the pages ask of it, for machines that test and have none: ``python3 curl.py URL...``."""

from __future__ import annotations

import argparse
import http.client
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT = 30.0


def main() -> int:
    """Make the requests; return 0, or curl's 7 where nobody listens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--include", action="store_true")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--data", "-d")
    parser.add_argument("--request", "-X")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--write-out", default="")
    parser.add_argument("--retry", type=int, default=0)
    parser.add_argument("--retry-delay", type=float, default=1)
    parser.add_argument("--retry-connrefused", action="store_true")
    options = parser.parse_args()
    for url in options.urls:
        for attempt in range(options.retry + 1):
            try:
                answer = request(url, options)
                break
            except ConnectionRefusedError:
                if not options.retry_connrefused or attempt == options.retry:
                    return 7
                time.sleep(options.retry_delay)
        if options.output is None:
            sys.stdout.buffer.write(answer)
        else:
            options.output.write_bytes(answer)
        sys.stdout.buffer.write(options.write_out.replace("\\n", "\n").encode())
        sys.stdout.buffer.flush()
    return 0


def request(url: str, options: argparse.Namespace) -> bytes:
    """Return what one answer prints."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
    headers = dict(header.split(": ", 1) for header in options.header)
    try:
        method = options.request or ("GET" if options.data is None else "POST")
        connection.request(method, parts.path, options.data, headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if not options.include:
        return body
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.getheaders())]
    return "\r\n".join([*lines, "", ""]).encode() + body


if __name__ == "__main__":
    sys.exit(main())
