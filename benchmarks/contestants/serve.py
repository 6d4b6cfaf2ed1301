"""Serve bare FastAPI or the usual stack: ``python serve.py bare PORT``, with uvicorn's fastest parts."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn


def main() -> None:
    """One process, httptools, uvloop, no access log: the same three for every contestant."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    name, port = sys.argv[1], int(sys.argv[2])
    uvicorn.run(
        f"contestants.{name}:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_level="warning",
        # Without it uvicorn starts a request that comes early on a kept-alive connection in the context of
        # the one before; the usual stack then hangs its span under that one's, and samples as it was sampled.
        reset_contextvars=True,
    )


if __name__ == "__main__":
    main()
