"""Runs ``make check`` and ``make test`` in services fresh from the template, as whoever starts one would.

With the worked example everything runs. Without it, what could hang on the example: that it boots, that every test
loads, the gauntlet, the documentation, and what deploys it but for the image. The rest cannot differ: app/ is the same
byte for byte but for the example, and so are the image's packages and what the gauntlet's tests drop in to attack.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.commands import environment
from tests.support.template import bake, copy_template

# Every file is loaded and these are run, in one process: loading them all takes as long as running these.
LEAN = (
    "--numprocesses 0 -k '(gauntlet or test_documentation or deploy)"
    " and not (admission or test_form_attacks or test_rates or test_on_postgresql or test_image)'"
)
PLAN = {
    # The suite runs mypy, and the gauntlet too, which are the other two layers of the gate.
    # One process more than the two cores that are asked for: a third of its tests wait for services and clocks.
    "with-example": (
        True,
        (("check", "ARGS=--layer source --layer lint --layer boot"), ("test", "ARGS=--numprocesses 3")),
    ),
    "without-example": (
        False,
        (("check", "ARGS=--layer boot"), ("test", f"ARGS={LEAN}")),
    ),
}


def main(slug: str) -> int:
    """Run one plan in an empty folder, which is removed again; return the first status that is not 0."""
    example, targets = PLAN[slug]
    with tempfile.TemporaryDirectory(prefix="breakwater-") as folder:
        template = copy_template(Path(folder) / "template")
        service = bake(template, Path(folder), {"project_slug": slug, "include_example": example})
        for target in targets:
            print(f"--- {slug}: make {' '.join(target)}", flush=True)
            status = subprocess.run(["make", *target], cwd=service, env=environment(), check=False).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
