"""The supervisor and real worker processes; the supervisor runs in the main thread, as it must."""

from __future__ import annotations

import errno
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

import pytest

from app.patterns.worker_processes import Supervisor, SupervisorConfig, SupervisorLink

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; never the time that something takes."""

HASTY = SupervisorConfig(restart_delay=0.05, max_restart_delay=0.1, stop_timeout=PATIENCE)


def work(link: SupervisorLink, news: Connection, behaviour: str) -> int:
    """A worker: tells its process id once it is ready and ends on SIGTERM, unless ``behaviour`` says otherwise."""
    news.send(os.getpid())
    if behaviour == "cannot boot":
        link.failed("no database", 7)
        return 7
    if behaviour == "fails and hangs":
        link.failed("no database", 7)
        threading.Event().wait()
    if behaviour == "ends":
        return 5
    if behaviour == "answers":
        news.recv()
        news.send(0)
    if behaviour in {"hangs", "answers"}:
        threading.Event().wait()
    stop: list[int] = []  # no event: a handler that sets one waits for ever where it meets the wait's own lock
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif behaviour == "fails to stop":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
    else:
        signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    link.on_orphaned(lambda: os._exit(0))
    link.ready()
    news.send(-os.getpid())  # negative: ready
    pause = threading.Event()
    while not stop:
        pause.wait(0.01)
    return 0


class Fleet:
    """A supervisor of ``work``, what its workers say, and a thread that acts on it."""

    def __init__(self, behaviour: str = "", *, workers: int = 2, config: SupervisorConfig = HASTY) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self.messages: list[str] = []
        self.stopping = threading.Event()
        self.supervisor = Supervisor(
            work,
            (theirs, behaviour),
            workers=workers,
            config=config,
            on_stop=self.stopping.set,
            report=self.messages.append,
        )

    def ask(self) -> None:
        self._ours.send("are you there?")

    def news(self) -> int:
        assert self._ours.poll(PATIENCE), "no worker says anything"
        pid: int = self._ours.recv()
        return pid

    def until_ready(self, count: int) -> list[int]:
        """Wait until ``count`` workers were ready; return their process ids."""
        ready: list[int] = []
        while len(ready) < count:
            pid = self.news()
            if pid < 0:
                ready.append(-pid)
        return ready

    def run(self, act: Callable[[], None] | None = None) -> int:
        """Run the supervisor while ``act`` runs in a thread; return the exit code."""
        thread = threading.Thread(target=act or (lambda: None))
        thread.start()
        try:
            return self.supervisor.run()
        finally:
            thread.join(PATIENCE)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_all_workers_run_and_a_signal_stops_them() -> None:
    fleet = Fleet(workers=3)
    pids: list[int] = []

    def act() -> None:
        pids.extend(fleet.until_ready(3))
        terminate()

    assert fleet.run(act) == 0
    assert len(set(pids)) == 3
    assert fleet.stopping.is_set()
    assert fleet.messages == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_signal_while_they_boot_stops_them() -> None:
    fleet = Fleet("hangs")

    def act() -> None:
        fleet.news()
        terminate()

    assert fleet.run(act) == 0


def test_a_worker_that_boots_leaves_an_interrupt_to_the_supervisor() -> None:
    fleet = Fleet("answers", workers=1)
    answers: list[int] = []

    def act() -> None:
        os.kill(fleet.news(), signal.SIGINT)
        fleet.ask()
        answers.append(fleet.news())
        terminate()

    assert fleet.run(act) == 0
    assert answers == [0]


def test_the_supervisor_leaves_the_signal_handlers_as_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    Fleet("cannot boot").run()

    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_worker_that_dies_is_replaced_each_time_a_little_later(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet(workers=1)

    def act() -> None:
        for _ in range(3):
            os.kill(fleet.until_ready(1)[0], signal.SIGKILL)
        fleet.until_ready(1)
        terminate()

    assert fleet.run(act) == 0
    delays = [str(record.args[2]) for record in caplog.records if isinstance(record.args, tuple)]
    assert delays == ["0.05", "0.1", "0.1"]


def test_a_process_that_the_system_does_not_give_is_asked_for_again_while_others_serve(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, starts, start = Fleet(workers=2), [0], SpawnProcess.start

    def refuse_the_third(process: SpawnProcess) -> None:
        starts[0] += 1
        if starts[0] == 3:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")  # what fork says
        start(process)

    def act() -> None:
        os.kill(fleet.until_ready(2)[0], signal.SIGKILL)
        fleet.until_ready(1)
        terminate()

    monkeypatch.setattr(SpawnProcess, "start", refuse_the_third)
    assert fleet.run(act) == 0
    assert starts == [4]
    assert "cannot start a worker" in caplog.text


def test_workers_that_cannot_boot_end_the_whole_with_one_message() -> None:
    fleet = Fleet("cannot boot")

    assert fleet.run() == 7
    assert fleet.messages == ["no database"]


def test_a_worker_that_ends_before_it_is_ready_ends_the_whole() -> None:
    fleet = Fleet("ends", workers=1)

    assert fleet.run() == 1
    [message] = fleet.messages
    assert message.endswith(" ended with 5 before it was ready")


def test_a_worker_that_is_not_ready_in_time_ends_the_whole() -> None:
    fleet = Fleet("hangs", workers=1, config=SupervisorConfig(boot_timeout=0.5))

    assert fleet.run() == 1
    [message] = fleet.messages
    assert message.endswith(" was not ready within 0.5 s")


def test_a_worker_that_says_why_it_fails_and_does_not_end_is_killed() -> None:
    fleet = Fleet("fails and hangs", workers=1, config=SupervisorConfig(boot_timeout=5.0))

    assert fleet.run() == 7
    assert fleet.messages == ["no database"]


def test_a_worker_that_does_not_stop_in_time_is_killed() -> None:
    fleet = Fleet("stubborn", workers=1, config=SupervisorConfig(stop_timeout=0.2))
    pids: list[int] = []

    def act() -> None:
        pids.extend(fleet.until_ready(1))
        terminate()

    assert fleet.run(act) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_worker_that_fails_to_stop_is_an_error() -> None:
    fleet = Fleet("fails to stop", workers=1)

    def act() -> None:
        fleet.until_ready(1)
        terminate()

    assert fleet.run(act) == 1


def test_a_signal_that_another_thread_gets_is_heard() -> None:
    fleet, heard = Fleet(), list[bool]()

    def act() -> None:
        fleet.until_ready(2)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        heard.append(fleet.stopping.wait(PATIENCE))

    assert fleet.run(act) == 0
    assert heard == [True]


def test_a_second_signal_kills_all_workers() -> None:
    fleet = Fleet("stubborn")

    def act() -> None:
        fleet.until_ready(2)
        terminate()
        assert fleet.stopping.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGINT)

    assert fleet.run(act) == 128 + signal.SIGINT


SCRIPT = """
import multiprocessing, sys, threading
from app.patterns.worker_processes import Supervisor
from tests.patterns.test_worker_processes import work

ours, theirs = multiprocessing.Pipe()
supervisor = Supervisor(work, (theirs, "{behaviour}"), workers=2)
def tell():
    for _ in range({news}):
        print(ours.recv(), flush=True)
threading.Thread(target=tell, daemon=True).start()
sys.exit(supervisor.run())
"""


@pytest.mark.parametrize(("behaviour", "news"), [("stubborn", 4), ("hangs", 2)])
def test_workers_end_when_their_supervisor_is_killed(behaviour: str, news: int) -> None:
    command = [sys.executable, "-c", SCRIPT.format(behaviour=behaviour, news=news)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = {abs(int(process.stdout.readline())) for _ in range(news)}
        descriptors: list[Any] = [os.pidfd_open(pid) for pid in pids]

        process.kill()

        for descriptor in descriptors:
            assert select.select([descriptor], [], [], PATIENCE)[0]
            os.close(descriptor)
    assert len(pids) == 2
