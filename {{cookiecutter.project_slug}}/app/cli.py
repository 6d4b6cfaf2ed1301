"""The commands of the service: run it, look at its routes, judge its handlers, get a development token."""

from __future__ import annotations

import gc
import getpass
import json
import os
import signal
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click
from dotenv import load_dotenv

from app.settings import ROOT, BootRefused, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from app.policy import Policy, Said
    from app.settings import Settings

P = ParamSpec("P")

REFUSED = 1
"""Exit status: the service, or something in it, is refused; the text says what and where."""

COULD_NOT_RUN = 2
"""Exit status: the command itself could not do its work."""

GARBAGE_THRESHOLD = 50_000
"""Objects that are made before the youngest are looked through; what has no cycle is freed at once, as ever."""


def _end(number: int, _frame: FrameType | None) -> None:
    """End, with the status that a shell gives for the signal."""
    sys.exit(128 + number)


def _refuses(command: Callable[P, None]) -> Callable[P, None]:
    """Print what a :class:`BootRefused` names, without a traceback, and end with its exit status."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except BootRefused as refused:
            _print_problems(refused.problems)
            sys.exit(REFUSED)

    return run


def _print_problems(problems: list[str]) -> None:
    for problem in problems:
        click.echo(problem, err=True)
    count = len(problems)
    click.echo(f"\nrefused: {count} problem{'s' if count != 1 else ''}", err=True)


@click.group(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Read .env before any command, so that one file serves the settings and OpenTelemetry's own variables."""
    # The kernel gives a container's first process no default: until the server or the worker listens, and in commands
    # that never do, a stop would go unheard.
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, _end)
    # Importing makes hundreds of thousands of objects that stay. Looking for garbage at every 700th, which is Python's
    # default, takes a sixth of the boot and finds nothing.
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)
    load_dotenv(ROOT / ".env", override=False)


@main.command()
@click.option("--host", default="127.0.0.1", envvar="HOST", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, envvar="PORT", show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes that serve.")
@_refuses
def run(host: str, port: int, workers: int) -> None:
    """Serve. In development a changed handler or policy is served at once."""
    from app.server import config_of, serve  # noqa: PLC0415 - only this command serves

    settings = load_settings()
    config = config_of(settings)
    migrate_in_development(settings)
    if workers > 1:
        from app.components import start_logging  # noqa: PLC0415 - each worker starts its own; this is the supervisor's

        start_logging(settings)
    sys.exit(serve("app.main:create", host=host, port=port, workers=workers, config=config, refusals=(BootRefused,)))


def migrate_in_development(settings: Settings) -> None:
    """Bring development's database up to date; in production that is a step of its own, and the boot asks for it.

    Raises:
        BootRefused: the database is away, or a migration failed.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - only commands that start something need it

    from app.database import schema  # noqa: PLC0415

    if settings.production:
        return
    try:
        if schema.is_up_to_date(settings):
            return
    except SQLAlchemyError as error:
        raise _cannot_migrate(error) from error
    for line in _migrate(settings, "head"):
        click.echo(line, err=True)


def _cannot_migrate(error: Exception) -> BootRefused:
    reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return BootRefused([f"APP_DATABASE_URL: cannot migrate, and nothing was changed: {reason}"])


def _migrate(settings: Settings, revision: str) -> list[str]:
    from alembic.util import CommandError  # noqa: PLC0415 - only these commands migrate
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from app.database import migrations  # noqa: PLC0415

    try:
        moved = migrations.migrate(settings, revision)
    except SQLAlchemyError as error:
        raise _cannot_migrate(error) from error
    except CommandError as error:
        raise BootRefused([f"migrations: {error}"]) from error
    return [f"database migrated: {' -> '.join(moved)}"] if moved else []


@main.command()
@click.option("--to", "revision", default="head", show_default=True, help="A revision, older or newer; base is none.")
@_refuses
def migrate(revision: str) -> None:
    """Bring the database to the newest revision, or to another one."""
    for line in _migrate(load_settings(), revision) or ["the database is up to date"]:
        click.echo(line)


@main.command()
@click.argument("name")
@_refuses
def migration(name: str) -> None:
    """Write a migration from what the models have and the database lacks. Read it before you keep it."""
    from alembic.util import CommandError  # noqa: PLC0415 - only these commands migrate

    from app.database import migrations  # noqa: PLC0415

    settings = load_settings()
    try:
        _migrate(settings, "head")
        path = migrations.new_migration(settings, name)
    except CommandError as error:
        raise BootRefused([f"migrations: {error}"]) from error
    click.echo(path or "the models and the database agree; there is nothing to migrate")


@main.group(invoke_without_command=True)
@click.option("--missing", is_flag=True, help="Print ready, closed entries for routes that the policy does not know.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
@_refuses
def routes(context: click.Context, missing: bool, form: str) -> None:  # noqa: FBT001 - click passes flags so
    """Print the effective policy of every route, and what people have said of it since; the commands below say it."""
    if context.invoked_subcommand is not None:
        return
    from app.definition import read_definition  # noqa: PLC0415 - imports the handlers
    from app.policy import render_missing, render_table, table_rows  # noqa: PLC0415

    settings = load_settings()
    definition = read_definition(settings, check=not missing)
    policy, mounted = definition.policy, definition.mounted
    if missing:
        click.echo(render_missing(policy, mounted), nl=False)
        return
    said = _said(settings, policy)
    if form == "json":
        click.echo(json.dumps(table_rows(policy, mounted, said), indent=2))
    else:
        click.echo(render_table(policy, mounted, said))


def _said(settings: Settings, policy: Policy) -> dict[str, Said]:
    """Return what people have said of routes; what cannot be read is no reason not to show the policy."""
    import asyncio  # noqa: PLC0415

    from app.stages.commands import in_force  # noqa: PLC0415
    from app.stages.control import ControlUnavailable  # noqa: PLC0415

    try:
        return asyncio.run(in_force(settings, policy))
    except ControlUnavailable as error:
        click.echo(
            f"the stages are those of {policy.source.name}; what people said since cannot be read: {error}", err=True
        )
        return {}


def who_says_so() -> str:
    """Return who is logged in: by name, or by number where the system has no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the one before Python 3.13, the other from then on
        return f"uid {os.getuid()}"


def _order(act: str, summary: str) -> None:
    """Add the command ``app routes ACT ROUTE``."""

    @routes.command(act, help=summary)
    @click.argument("route")
    @click.option("--why", required=True, help="The reason; it is logged, and shown to whoever looks.")
    @click.option("--by", default=who_says_so, show_default="who is logged in", help="Who says so.")
    @_refuses
    def command(route: str, why: str, by: str) -> None:
        import asyncio  # noqa: PLC0415

        from app.policy import load_policy  # noqa: PLC0415
        from app.stages import Act  # noqa: PLC0415
        from app.stages.commands import order  # noqa: PLC0415
        from app.upstreams import NAMES  # noqa: PLC0415

        settings = load_settings()
        policy = load_policy(settings.policy_path, upstreams=NAMES)
        click.echo(asyncio.run(order(settings, policy, Act(act), route=route, by=by, why=why)))


_order("quarantine", "Take ROUTE (such as 'GET /v1/orders') out of service in every process, until it is released.")
_order("release", "Put ROUTE back into service at once, whoever took it out.")
_order("promote", "Treat ROUTE, which is on probation, as active.")


@routes.command("acts")
@_refuses
def routes_acts() -> None:
    """Print what people have done with routes, newest first."""
    import asyncio  # noqa: PLC0415

    from app.stages.commands import acts  # noqa: PLC0415

    click.echo(asyncio.run(acts(load_settings())))


@main.command()
@click.argument("route")
@click.option("--no-gate", is_flag=True, help="Do not judge the handler by the gate, which takes a while.")
@_refuses
def evidence(route: str, no_gate: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Print what speaks for the promotion of ROUTE, such as 'GET /v1/orders', and what against it.

    Ends with 0 if the evidence speaks for it, 1 if not.
    """
    import asyncio  # noqa: PLC0415

    from app.definition import read_definition  # noqa: PLC0415
    from app.stages.commands import evidence as read  # noqa: PLC0415

    settings = load_settings()
    definition = read_definition(settings)

    def gate() -> bool | None:
        found = [each.file for each in definition.mounted if f"{each.method} {each.path}" == route]
        if no_gate or not found or not (ROOT / found[0]).is_file():
            return None
        return _admits(ROOT / found[0])

    text, speaks_for_it = asyncio.run(read(settings, definition.policy, route, gate))
    click.echo(text)
    sys.exit(0 if speaks_for_it else REFUSED)


def _admits(handler: Path) -> bool | None:
    """Tell whether the gate admits a handler, its gauntlet included; None where there is no gate, or it could not."""
    try:
        from admission.gate import LAYERS, Gate  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    report = Gate(ROOT, layers=LAYERS, cached=True, progress=lambda _line: None).judge((handler,))
    return None if report.failures else report.verdict != "refused"


@main.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    envvar="FORMAT",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    type=click.Choice(["source", "lint", "types", "boot", "gauntlet"]),
    help="Run only this layer; may be given several times. All by default.",
)
@click.option("--no-cache", "cached", flag_value=False, default=True, help="Judge again what has not changed.")
def check(paths: tuple[Path, ...], form: str, layers: tuple[str, ...], cached: bool) -> None:  # noqa: FBT001 - click
    """Judge handlers: those of the service, or the files and folders that are named.

    Ends with 0 if they are admitted, 1 if they are refused, 2 if they could not be judged.
    """
    try:
        from admission.files import NothingToJudge  # noqa: PLC0415 - the gate is not part of a deployed service
        from admission.gate import LAYERS, Gate  # noqa: PLC0415
        from admission.reports import FORMS  # noqa: PLC0415
    except ModuleNotFoundError as error:
        click.echo(f"the gate is not installed here ({error.name}); run this in the project", err=True)
        sys.exit(COULD_NOT_RUN)

    def progress(line: str) -> None:
        click.echo(line, err=True)

    gate = Gate(ROOT, layers=layers or LAYERS, cached=cached, progress=progress)
    try:
        report = gate.judge(paths)
    except NothingToJudge as error:
        click.echo(str(error), err=True)
        sys.exit(COULD_NOT_RUN)
    click.echo(FORMS[form](report), nl=False)
    if report.verdict == "refused":
        sys.exit(REFUSED)
    sys.exit(COULD_NOT_RUN if report.failures else 0)


@main.command()
@click.argument("rule", required=False)
def explain(rule: str | None) -> None:
    """Print the page of a rule: what it finds, why, a bad and a good example. Without a rule: a list of them."""
    from admission.pages import nearest, page, titles  # noqa: PLC0415 - only these two commands need the gate

    if rule is None:
        click.echo("\n".join(f"{name}  {title}" for name, title in titles().items()))
        return
    text = page(rule)
    if text is None:
        near = nearest(rule)
        click.echo(f"there is no rule {rule}" + (f"; did you mean {', '.join(near)}?" if near else ""), err=True)
        sys.exit(COULD_NOT_RUN)
    click.echo(text, nl=False)


@main.command()
@click.option(
    "--heartbeat",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that is touched every five seconds while it works, for `app healthcheck --heartbeat`.",
)
@_refuses
def worker(heartbeat: Path | None) -> None:
    """Do jobs, and serve nothing: as many of these as are wanted, on as many machines."""
    import asyncio  # noqa: PLC0415 - only this command and the next run a loop of their own

    from app.main import work  # noqa: PLC0415

    settings = load_settings()
    migrate_in_development(settings)
    sys.exit(asyncio.run(work(settings, heartbeat)))


@main.command()
@click.option("--url", default="http://127.0.0.1:8000/livez", show_default=True, help="What has to answer 200.")
@click.option(
    "--heartbeat",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Ask a worker instead: the file that it touches has to be younger than thirty seconds.",
)
@click.option("--timeout", default=2.0, show_default=True, type=click.FloatRange(0.1, 60), help="Seconds to wait.")
def healthcheck(url: str, heartbeat: Path | None, timeout: float) -> None:
    """Tell whether a process of this service is well: 0, or 1 and the reason. For images without a shell."""
    from app.healthcheck import beats, why_unwell  # noqa: PLC0415 - asks by HTTP, which other commands do not

    problem = why_unwell(url, timeout) if heartbeat is None else beats(heartbeat)
    if problem is not None:
        click.echo(problem, err=True)
        sys.exit(1)


@main.group(invoke_without_command=True)
@click.pass_context
@_refuses
def jobs(context: click.Context) -> None:
    """List the messages whose jobs were given up; `app jobs replay` has them done again."""
    if context.invoked_subcommand is not None:
        return
    import asyncio  # noqa: PLC0415

    from app.main import outbox_of_commands  # noqa: PLC0415

    async def read() -> None:
        async with outbox_of_commands(load_settings()) as outbox:
            counts, dead = await outbox.backend.counts(), await outbox.backend.dead(limit=1000)
        click.echo(f"{counts['todo']} to do, {counts['doing']} being done, {counts['dead']} given up")
        for message in dead:
            click.echo(f"{message.id}\t{message.name}\tafter {message.attempts} attempts\t{message.error}")

    asyncio.run(read())


@jobs.command()
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@_refuses
def replay(ids: tuple[int, ...], everything: bool) -> None:  # noqa: FBT001 - click's
    """Have messages that were given up done again: those with these IDS, or all."""
    import asyncio  # noqa: PLC0415

    from app.main import outbox_of_commands  # noqa: PLC0415

    if bool(ids) is everything:
        raise click.UsageError("name the ids of messages, or say --all; `app jobs` lists them")

    async def again() -> int:
        async with outbox_of_commands(load_settings()) as outbox:
            return await outbox.backend.replay(None if everything else ids)

    count = asyncio.run(again())
    click.echo(f"{count} to be done again")
    if count < len(ids):
        click.echo("the others are not among those that were given up; `app jobs` lists them", err=True)
        sys.exit(REFUSED)


@main.group()
def simulate() -> None:
    """Run a simulator of a service that this one calls."""


@simulate.command("payments")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
def simulate_payments(host: str, port: int) -> None:
    """Charge cards that do not exist, and misbehave when told to: PUT /behaviour."""
    import asyncio  # noqa: PLC0415 - only this command runs a loop of its own
    import contextlib  # noqa: PLC0415

    from app.simulators import payments  # noqa: PLC0415

    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(payments.run(port, host=host, ready=lambda url: click.echo(f"payments simulator on {url}")))
    except OSError as error:
        click.echo(f"cannot listen on port {port}: {error.strerror or error}", err=True)
        sys.exit(COULD_NOT_RUN)


@main.command()
@click.option("--subject", default="alice", show_default=True, help="Who the token is for.")
@click.option("--role", "roles", multiple=True, help="A role that it carries; may be given several times.")
@click.option("--tenant", default=None, help="The tenant that it names.")
@click.option("--lifetime", default=3600, show_default=True, type=click.IntRange(1, 86400), help="Seconds it is good.")
@_refuses
def token(subject: str, roles: tuple[str, ...], tenant: str | None, lifetime: int) -> None:
    """Print a token of the development issuer. Production trusts no such token, and refuses to start with it."""
    from app.components import issue_development_token  # noqa: PLC0415 - cryptography takes its time

    settings = load_settings()
    if settings.production or not settings.development_issuer:
        raise BootRefused(["APP_JWKS_URL: this service trusts another issuer; get a token from there"])
    click.echo(issue_development_token(settings, subject=subject, roles=roles, tenant=tenant, lifetime=lifetime))
