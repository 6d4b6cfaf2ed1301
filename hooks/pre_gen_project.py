"""Refuse the answers that would spoil the project, before any file of it is written.

cookiecutter joins the slug to the output path and makes that folder *before* it runs this hook, so the shape
of the slug is held earlier: by ``__path_guard`` in cookiecutter.json, which is rendered before there is any
folder. This hook holds the rest, and the shape once more; when it fails, cookiecutter removes the folder.

What passes is safe as it stands in Markdown, in HTML text, and in a TOML string once ``"`` is escaped.
"""

import json
import re
import sys

# JSON inside a JSON string: no answer can break out of it, and what is not ASCII survives it.
ANSWERS = json.loads({{cookiecutter | jsonify | jsonify}})  # type: ignore[name-defined, arg-type]  # noqa: F821

SLUG = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")  # normal by PEP 503, and safe as a folder's name
SLUG_LENGTH = range(2, 51)  # characters; a DNS label holds 63, which leaves room for a suffix
NAME_MAX = 60  # characters: one heading
DESCRIPTION_MAX = 200  # characters: one line; PyPI takes a summary of 512
MARKUP = frozenset("\\`*[]{}<>|")  # what Markdown, HTML or Jinja would read as markup
WINDOWS_DEVICES = frozenset(
    ["aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))]
)


def slug_problem(slug: object) -> str | None:
    """Return what is wrong with the slug, which becomes a folder and the distribution's name."""
    if not isinstance(slug, str) or not SLUG.fullmatch(slug) or len(slug) not in SLUG_LENGTH:
        return "use 2 to 50 of a-z, 0-9 and single hyphens, a letter first"
    if slug == "app":
        return "that is the name of the import package; choose another, such as order-service"
    if slug in WINDOWS_DEVICES:
        return "Windows reserves that name for a device; choose another, such as order-service"
    if slug.replace("-", "_") in sys.stdlib_module_names:
        return f"one of Python's own modules has that name; choose another, such as {slug}-service"
    return None


def text_problems(value: object, longest: int) -> list[str]:
    """Return what is wrong with a line of prose of at most ``longest`` characters."""
    if not isinstance(value, str) or not value.strip():
        return ["write a line of text"]
    problems = []
    if len(value) > longest:
        problems.append(f"{len(value)} characters are too many; write at most {longest}")
    if not value.isprintable():
        problems.append("it holds a line break or another character that does not print; write one plain line")
    if marks := MARKUP.intersection(value):
        problems.append(f"it holds {' '.join(sorted(marks))}, which would be read as markup; write plain prose")
    if value != value.strip() or not value.strip()[0].isalnum():
        problems.append("begin with a letter or a digit, and leave no space at either end")
    return problems


def main() -> int:
    """Print every problem and what to do about it; return the exit status."""
    problems = [
        *(("project_name", problem) for problem in text_problems(ANSWERS["project_name"], NAME_MAX)),
        *(("description", problem) for problem in text_problems(ANSWERS["description"], DESCRIPTION_MAX)),
    ]
    if problem := slug_problem(ANSWERS["project_slug"]):
        problems.append(("project_slug", problem))
    if not isinstance(ANSWERS["include_example"], bool):
        problems.append(("include_example", "answer yes or no"))
    for name, problem in problems:
        print(f"Refused: {name} = {ascii(ANSWERS[name])[:80]}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
