"""Turn the copy of the template's own service into a project: its name, its extent, its repository.

``app/`` and its tests are copied as they are, so that they run in the template too. What differs from one
project to the next is done here: the name in pyproject.toml and uv.lock, and the worked example where it is
not wanted. Whatever this hook expects and does not find stops it, and cookiecutter removes the folder again.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ANSWERS = json.loads({{cookiecutter | jsonify | jsonify}})  # type: ignore[name-defined, arg-type]  # noqa: F821

SOURCE_NAME = "breakwater-service"  # the distribution's name in the template

# Beside pyproject.toml and uv.lock it stands in the files that deploy the service, which are copied as they are too:
# what they hold in braces is for a workflow, a dashboard or an alert, and not for cookiecutter.
NAMED = ("deploy", ".github")

# The worked example, all of it: files, and blocks between two marker lines.
EXAMPLE_FILES = (
    "app/handlers/inventory.py", "app/handlers/orders.py", "app/models/orders.py", "migrations/versions/0002_orders.py",
    "tests/handlers/test_inventory.py", "tests/handlers/test_orders.py", "tests/handlers/test_orders_schema.py",
    "tests/handlers/test_orders_attacked.py", "tests/torture/*.py", "app/jobs/orders.py",
    "app/handlers/notifications.py", "tests/handlers/test_orders_paid.py",
)  # fmt: skip
EXAMPLE_BLOCKS = (
    "policy.toml", "Makefile", "deploy/compose.yaml", "deploy/.compose-lint.yml",
    "deploy/kubernetes/base/network.yaml", "deploy/kubernetes/base/settings.yaml",
)  # fmt: skip
BLOCK = re.compile(r"^ *# example: begin\n.*?^ *# example: end\n\n?", re.MULTILINE | re.DOTALL)

# What work in the template's own service leaves behind, and cookiecutter copies from a local folder.
LITTER = (
    ".venv", ".uv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis",
    ".admission-cache", ".coverage", ".development-issuer.json", ".routes", "app.db*", "build", "dist", "*.egg-info",
    "**/__pycache__", "deploy/secrets",
)  # fmt: skip

IDENTITIES = ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")
GIT_TIMEOUT = 30  # seconds; a first commit takes a fraction of one
# A repository that the environment names (in a Git hook, say) is not the one to write to.
GIT_LOCATION = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE",
)  # fmt: skip


class CannotGenerateError(Exception):
    """The project would not be what it should; the text says why and what to do."""


def replace_once(path: Path, pattern: str, replacement: str) -> None:
    """Replace the one line of a file that matches ``pattern``.

    Raises:
        CannotGenerateError: no line matches, or more than one.
    """
    text = path.read_text("utf-8")
    found = re.findall(pattern, text, re.MULTILINE)
    if len(found) != 1:
        raise CannotGenerateError(f"{path}: {len(found)} lines match {pattern}, not one; mend the template")
    path.write_text(re.sub(pattern, lambda _: replacement, text, flags=re.MULTILINE), "utf-8", newline="\n")


def name_distribution(slug: str, description: str) -> None:
    """Write the distribution's name and description where the template has its own.

    Raises:
        CannotGenerateError: a dependency has that name, so the lock would name two packages alike.
    """
    lock, pyproject = Path("uv.lock"), Path("pyproject.toml")
    locked = set(re.findall(r'^name = "(.+)"$', lock.read_text("utf-8"), re.MULTILINE)) - {SOURCE_NAME}
    if slug in locked:
        raise CannotGenerateError(
            f"project_slug = {slug!r}: a dependency has that name; choose another, such as {slug}-service"
        )
    name = f'^name = "{SOURCE_NAME}"$'
    replace_once(lock, name, f'name = "{slug}"')
    replace_once(pyproject, name, f'name = "{slug}"')
    # A JSON string is a TOML basic string where every character prints; pre_gen_project.py has seen to that.
    quoted = json.dumps(description, ensure_ascii=False)
    replace_once(pyproject, r"^description = .*$", f"description = {quoted}")
    for folder in NAMED:
        for path in filter(Path.is_file, Path(folder).rglob("*")):
            text = path.read_text("utf-8")
            if SOURCE_NAME in text:
                path.write_text(text.replace(SOURCE_NAME, slug), "utf-8", newline="\n")


def remove_example() -> None:
    """Remove the worked example's files and blocks.

    Raises:
        CannotGenerateError: one of them is not there, so the list above no longer says what the example is.
    """
    for pattern in EXAMPLE_FILES:
        files = list(Path().glob(pattern))
        if not files:
            raise CannotGenerateError(f"{pattern}: the example has no such file; mend EXAMPLE_FILES")
        for file in files:
            file.unlink()
    for block in EXAMPLE_BLOCKS:
        path = Path(block)
        text, removed = BLOCK.subn("", path.read_text("utf-8") if path.is_file() else "")
        if not removed or "# example: " in text:
            raise CannotGenerateError(f"{block}: no block between '# example: begin' and '# example: end'")
        path.write_text(text, "utf-8", newline="\n")


def remove_litter() -> None:
    """Remove what work in the template's folder has left in it."""
    for pattern in LITTER:
        for path in list(Path().glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def git(*arguments: str) -> str:
    """Run git in the project and return what it prints.

    Raises:
        OSError: there is no git.
        subprocess.SubprocessError: it failed, or took too long.
    """
    environment = {key: value for key, value in os.environ.items() if key not in GIT_LOCATION}
    environment["GIT_TERMINAL_PROMPT"] = "0"
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["git", *arguments],  # noqa: S607 - the user's own git
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        encoding="utf-8",
        errors="replace",
        timeout=GIT_TIMEOUT,
    )
    return done.stdout.strip()


def git_answers(*arguments: str) -> bool:
    """Return whether git answers, and with something."""
    try:
        return git(*arguments) not in {"", "false"}
    except (OSError, subprocess.SubprocessError):
        return False


def start_repository() -> str:
    """Make a Git repository with one commit where that can be done; return what was done. Never fails."""
    by_hand = 'git init -b main && git add -A && git commit -m "Start from Breakwater"'
    if "_commit" in ANSWERS:
        # cruft has not written its file yet, and `cruft update` runs this hook too, to compare two folders.
        return f"No Git repository yet, because .cruft.json belongs in its first commit: {by_hand}"
    if shutil.which("git") is None:
        return f"No Git repository, because git is not on PATH. Later: {by_hand}"
    if git_answers("rev-parse", "--is-inside-work-tree"):
        return "No Git repository of its own, because the folder is inside one."
    try:
        git("init", "--quiet")
        git("symbolic-ref", "HEAD", "refs/heads/main")  # `init -b` is of git 2.28
        # A name that git makes up from the machine's is nobody's.
        git("add", "--all")
        if not all(git_answers("-c", "user.useConfigOnly=true", "var", identity) for identity in IDENTITIES):
            return "A Git repository without a commit: set user.name and user.email, then git commit."
        # No passphrase prompt and no global hook of the user's between a template and its first commit.
        unattended = ("-c", "commit.gpgSign=false", "-c", f"core.hooksPath={os.devnull}")
        git(*unattended, "commit", "--quiet", "--message", "Start from Breakwater")
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        return f"Git did not finish ({reason[:300]}). Later: {by_hand}"
    return "It is a Git repository with one commit, on branch main."


def main() -> int:
    """Finish the project; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a folder's name under any locale
    try:
        remove_litter()
        name_distribution(ANSWERS["project_slug"], ANSWERS["description"])
        if not ANSWERS["include_example"]:
            remove_example()
    except (CannotGenerateError, OSError) as error:
        print(f"Refused: {error}", file=sys.stderr)
        return 1
    print(
        f"""
{ANSWERS["project_slug"]} is ready. {start_repository()}

  cd {shlex.quote(str(Path.cwd()))}
  make run      serve it on http://127.0.0.1:8000
  make token    print a token of the development issuer
  make check    see whether the code in app/handlers/ is admitted
  make test     run its tests
  make help     the rest

Put handlers into app/handlers/, and say in policy.toml who may call them."""
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
