"""Generates a service in an empty folder and runs make targets in it, as whoever starts a service would.

``python -m tests.support.fresh check test`` ends with the status of the first target that fails.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.commands import environment
from tests.support.template import bake, copy_template


def main(targets: list[str]) -> int:
    """Run the targets one after the other; return the first status that is not 0."""
    with tempfile.TemporaryDirectory(prefix="breakwater-") as folder:
        template = copy_template(Path(folder) / "template")
        service = bake(template, Path(folder), {"project_name": "Fresh Service"})
        for target in targets:
            print(f"--- make {target}, in a fresh service", flush=True)
            status = subprocess.run(["make", target], cwd=service, env=environment(), check=False).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
