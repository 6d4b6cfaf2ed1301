"""Several processes of the service on one database, which are killed and started again."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx2
from pydantic import SecretStr

from app.cli import migrate_in_development
from app.patterns.development_issuer import DevelopmentIssuer
from app.patterns.process_locks import ProcessLocks
from app.settings import Settings
from tests.support.ports import free_port
from tests.support.service import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

BOOT_TIMEOUT = 60.0
"""Seconds for a process to serve; three times what it takes with two others booting beside it."""


STEPS = """
[routes."POST /v1/steps"]
allow = ["orders:write"]
rate = "1000000/hour"

[jobs."torture.step"]
"""
"""The policy of the torture's own handler and job."""


@dataclass
class Process:
    """One process of the service: the port stays, the process behind it comes and goes."""

    port: int
    running: asyncio.subprocess.Process | None = None
    kills: int = 0
    ready_at: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Fleet:
    """Processes of the service, and what they share.

    Args:
        database_url: whose database; migrated when the fleet starts.
        size: processes.
        environ: further settings.
        one_machine: the processes are to each other what workers of one supervisor are; else as if on several machines.
        external: orders are charged. Without, they are what the numbers about the database are about: one transaction.
    """

    database_url: str
    size: int = 3
    environ: Mapping[str, str] = field(default_factory=dict)
    one_machine: bool = False
    external: bool = False

    def __post_init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="torture-")
        self.folder = Path(self._folder.name)
        self.tickets = self.folder / "tickets"
        self.tickets.mkdir()
        self.processes = [Process(free_port()) for _ in range(self.size)]
        self._key = self.folder / "issuer.json"
        self._issuer = DevelopmentIssuer(self._key, audience="api")
        self._log = (self.folder / "log").open("wb")
        self._locks = ProcessLocks.shared() if self.one_machine else ProcessLocks()
        policy = Path("policy.toml").read_text("utf-8").replace('"10/minute"', '"1000000/hour"')
        if self.external:
            policy += STEPS
            for kind in ("handler", "job"):
                (self.folder / f"{kind}s").mkdir()
                shutil.copy(Path(__file__).with_name(f"steps_{kind}.py"), self.folder / f"{kind}s" / "steps.py")
        else:
            policy = policy.replace('effects = "external"', 'effects = "local"')
        (self.folder / "policy.toml").write_text(policy.replace('"60/minute"', '"1000000/hour"'), "utf-8")
        self._environ = {
            "APP_DATABASE_URL": self.database_url,
            "APP_DEVELOPMENT_KEY_PATH": str(self._key),
            "APP_POLICY_PATH": str(self.folder / "policy.toml"),
            "APP_FLOOD_RATE": "unlimited",
            "APP_LOG_LEVEL": "error",
            "APP_LOG_FORMAT": "json",
            "APP_IDEMPOTENCY_KEYS_PER_CALLER": "1000000",
            "TORTURE_TICKETS": str(self.tickets),
            **({"TORTURE_STEPS": str(self.folder)} if self.external else {}),
            **self.environ,
        }

    async def __aenter__(self) -> Self:
        migrate_in_development(Settings(database_url=SecretStr(self.database_url)))
        for process in self.processes:
            await self.start(process)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            if process.running is not None and process.running.returncode is None:
                process.running.kill()
                await process.running.wait()
        self._log.close()
        self._folder.cleanup()

    def log(self) -> str:
        """Return what the processes said: errors, and what they could not say as one."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def bearer(self, subject: str, *roles: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self._issuer.issue(subject, roles or ('customer',), None, 86_400)}"}

    async def start(self, process: Process) -> None:
        """Start one process and wait until it serves."""
        shared = [self._locks.file] if self._locks.file is not None else []
        process.running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.torture.serve",
            str(process.port),
            *map(str, shared),
            pass_fds=shared,
            env={
                **environment(self._environ),
                "PYTHONDONTWRITEBYTECODE": "",
                "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
                "PYTHONPATH": str(Path.cwd()),
            },
            stdout=self._log,
            stderr=self._log,
        )
        end = time.monotonic() + BOOT_TIMEOUT
        async with httpx2.AsyncClient(timeout=2) as client:
            while True:
                try:
                    if (await client.get(f"{process.url}/readyz")).status_code == 200:
                        process.ready_at = time.monotonic()
                        return
                except httpx2.HTTPError:
                    pass
                if process.running.returncode == -signal.SIGKILL:
                    return  # it served somebody before it served us, and was killed for it
                if process.running.returncode is not None or time.monotonic() > end:
                    raise RuntimeError(f"a process did not start:\n{self.log()[-4000:]}")
                await asyncio.sleep(0.02)

    def kill(self, process: Process) -> None:
        """Kill one process where it stands."""
        if process.running is not None and process.running.returncode is None:
            process.running.send_signal(signal.SIGKILL)

    async def keep_alive(self) -> None:
        """Start again whatever ends, for as long as this runs."""
        await asyncio.gather(*(self._keep_alive(process) for process in self.processes))

    async def _keep_alive(self, process: Process) -> None:
        while True:
            if process.running is not None:
                await process.running.wait()
                process.kills += 1
            await self.start(process)
