"""Every exploit succeeds in a plain application, and does not in the same one contained; both over a real socket."""

from __future__ import annotations

import _thread
import ast
import asyncio
import collections
import concurrent.futures
import contextlib
import ctypes
import dataclasses
import http.client
import importlib.machinery
import importlib.util
import json
import linecache
import marshal
import os
import pickle
import runpy
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.patterns.containment import Containment, ContainmentError, check_sql, contained, trusted
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

SECRET = "correct horse battery staple"


@dataclasses.dataclass
class Yard:
    """What an exploit is let loose on.

    Attributes:
        folder: with ``secret.txt``, ``lib.so``, ``plugin.py`` and ``mine/``, which is declared.
        port: of a listener that takes connections and datagrams.
    """

    folder: Path
    port: int

    @property
    def secret(self) -> Path:
        return self.folder / "secret.txt"

    @property
    def mine(self) -> Path:
        return self.folder / "mine"

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence"


Exploit = Any
"""A function of a yard that returns something true when it has done what it should not have."""

EXPLOITS: dict[str, tuple[str, Exploit]] = {}


def exploit(kind: str) -> Callable[[Exploit], Exploit]:
    def add(function: Exploit) -> Exploit:
        EXPLOITS[function.__name__] = (kind, function)
        return function

    return add


# Processes.


@exploit("process")
def os_system(yard: Yard) -> bool:
    return os.system(f"touch {yard.evidence}") == 0


@exploit("process")
def run_a_command(yard: Yard) -> bool:
    return subprocess.run(["touch", str(yard.evidence)], check=False).returncode == 0


@exploit("process")
def posix_spawn(yard: Yard) -> bool:
    return os.waitpid(os.posix_spawn("/usr/bin/env", ["env", "touch", str(yard.evidence)], os.environ), 0)[1] == 0


@exploit("process")
async def subprocess_of_the_loop(yard: Yard) -> bool:
    process = await asyncio.create_subprocess_exec("touch", str(yard.evidence))
    return await process.wait() == 0


@exploit("process")
async def shell_of_the_loop(yard: Yard) -> bool:
    process = await asyncio.create_subprocess_shell(f"touch {yard.evidence}")
    return await process.wait() == 0


@exploit("process")
def below_subprocess(yard: Yard) -> bool:
    process = subprocess._fork_exec  # type: ignore[attr-defined]
    assert callable(process)
    import multiprocessing.util

    reading, writing = os.pipe()
    try:
        path = shutil.which("touch") or ""
        pid = multiprocessing.util.spawnv_passfds(path.encode(), [b"touch", str(yard.evidence).encode()], [writing])
        return os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(reading)
        os.close(writing)


@exploit("process")
def signal_a_process(_yard: Yard) -> bool:
    os.kill(os.getpid(), 0)
    return True


@exploit("process")
def signal_itself(_yard: Yard) -> bool:
    signal.raise_signal(signal.SIGURG)  # which is ignored
    return True


@exploit("process")
def be_signalled_later(_yard: Yard) -> bool:
    signal.alarm(0)
    return True


@exploit("process")
def change_the_environment(_yard: Yard) -> bool:
    os.environ["CONTAINMENT_TEST"] = "1"
    return os.environ.pop("CONTAINMENT_TEST") == "1"


# Code from text.


@exploit("code")
def evaluate(_yard: Yard) -> bool:
    return bool(eval("1 + 1") == 2)


@exploit("code")
def execute(yard: Yard) -> bool:
    exec(f"open({str(yard.evidence)!r}, 'w').close()")
    return True


@exploit("code")
def compile_text(_yard: Yard) -> bool:
    return compile("1", "<text>", "eval") is not None


@exploit("code")
def build_code(_yard: Yard) -> bool:
    return evaluate.__code__.replace(co_name="other") is not None


# Files. Reading, by every way there is to say a name.


@exploit("file_read")
def read_a_file(yard: Yard) -> bool:
    return yard.secret.read_text() == SECRET


@exploit("file_read")
def read_by_descriptor(yard: Yard) -> bool:
    descriptor = os.open(yard.secret, os.O_RDONLY)
    try:
        return os.read(descriptor, 100).decode() == SECRET
    finally:
        os.close(descriptor)


@exploit("file_read")
def read_upwards(yard: Yard) -> bool:
    with open(f"{yard.mine}/../secret.txt") as file:
        return file.read() == SECRET


@exploit("file_read")
def read_through_a_link(yard: Yard) -> bool:
    return (yard.mine / "link.txt").read_text() == SECRET


@exploit("file_read")
def read_bytes_name(yard: Yard) -> bool:
    with open(os.fsencode(yard.secret)) as file:
        return file.read() == SECRET


@exploit("file_read")
def read_a_neighbour_of_the_root(yard: Yard) -> bool:
    return Path(f"{yard.mine}-not").read_text() == SECRET


@exploit("file_read")
def read_what_may_be_written(yard: Yard) -> bool:
    return (yard.folder / "outbox" / "old.txt").read_text() == SECRET


@exploit("file_read")
def list_a_folder(yard: Yard) -> bool:
    return "secret.txt" in os.listdir(yard.folder)


@exploit("file_read")
def scan_a_folder(yard: Yard) -> bool:
    with os.scandir(yard.folder) as entries:
        return any(entry.name == "secret.txt" for entry in entries)


@exploit("file_read")
def run_a_file(yard: Yard) -> bool:
    return bool(runpy.run_path(str(yard.folder / "plugin.py"))["DONE"])


@exploit("file_read")
def import_from_anywhere(yard: Yard) -> bool:
    spec = importlib.util.spec_from_file_location("plugin", yard.folder / "plugin.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return bool(module.DONE)


@exploit("file_read")
def read_in_a_thread(yard: Yard) -> bool:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(yard.secret.read_text()))
    hook, threading.excepthook = threading.excepthook, lambda _args: None
    thread.start()
    thread.join()
    threading.excepthook = hook
    return found == [SECRET]


def _read_in_a_thread_of(start: Callable[[Callable[[], None]], Any], yard: Yard) -> bool:
    found: list[str] = []
    done = threading.Event()

    def read() -> None:
        try:
            found.append(yard.secret.read_text())
        except ContainmentError:
            pass
        finally:
            done.set()

    start(read)
    done.wait(10)
    return found == [SECRET]


@exploit("file_read")
def read_in_a_bare_thread(yard: Yard) -> bool:
    return _read_in_a_thread_of(lambda read: _thread.start_new_thread(read, ()), yard)


@exploit("file_read")
def read_in_a_bare_thread_by_another_name(yard: Yard) -> bool:
    joinable = getattr(_thread, "start_joinable_thread", None)  # from Python 3.13 on
    return _read_in_a_thread_of(joinable or (lambda read: _thread.start_new(read, ())), yard)


@exploit("process")
def run_another_interpreter(yard: Yard) -> bool:
    name = "_interpreters" if importlib.util.find_spec("_interpreters") else "_xxsubinterpreters"
    interpreters: Any = importlib.import_module(name)
    number = interpreters.create()
    interpreters.run_string(number, f"open({str(yard.evidence)!r}, 'w').close()")
    interpreters.destroy(number)
    return yard.evidence.exists()


@exploit("file_read")
async def read_in_the_loops_executor(yard: Yard) -> bool:
    return await asyncio.get_running_loop().run_in_executor(None, yard.secret.read_text) == SECRET


@exploit("file_read")
def read_in_an_executor(yard: Yard) -> bool:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(yard.secret.read_text).result() == SECRET


@exploit("file_read")
async def read_in_a_task(yard: Yard) -> bool:
    return await asyncio.create_task(asyncio.to_thread(yard.secret.read_text)) == SECRET


# Files: making, changing, removing.


@exploit("file_write")
def write_a_file(yard: Yard) -> bool:
    return yard.evidence.write_text("was here") > 0


@exploit("file_write")
def append_to_a_file(yard: Yard) -> bool:
    with yard.secret.open("a") as file:
        return file.write("!") > 0


@exploit("file_write")
def write_where_one_may_read(yard: Yard) -> bool:
    return (yard.mine / "planted").write_text("was here") > 0


@exploit("file_write")
def remove_a_file(yard: Yard) -> bool:
    yard.secret.unlink()
    return not yard.secret.exists()


@exploit("file_write")
def remove_by_descriptor(yard: Yard) -> bool:
    descriptor = os.open(yard.mine, os.O_RDONLY)  # this folder may be read
    try:
        os.unlink("note.txt", dir_fd=descriptor)
    finally:
        os.close(descriptor)
    return not (yard.mine / "note.txt").exists()


@exploit("file_write")
def rename_a_file(yard: Yard) -> bool:
    yard.secret.rename(yard.evidence)
    return yard.evidence.exists()


@exploit("file_write")
def make_a_folder(yard: Yard) -> bool:
    yard.evidence.mkdir()
    return yard.evidence.is_dir()


@exploit("file_write")
def link_to_a_file(yard: Yard) -> bool:
    os.link(yard.secret, yard.evidence)
    return yard.evidence.read_text() == SECRET


@exploit("file_read")
def symlink_to_a_secret(yard: Yard) -> bool:
    link = yard.folder / "outbox" / "link"  # this folder may be written
    link.symlink_to(yard.secret)
    return link.is_symlink()


@exploit("file_write")
def loosen_a_file(yard: Yard) -> bool:
    yard.secret.chmod(0o777)
    return True


@exploit("file_write")
def make_a_fifo(yard: Yard) -> bool:
    os.mkfifo(yard.evidence)
    return yard.evidence.is_fifo()


@exploit("file_write")
def make_a_database(yard: Yard) -> bool:
    sqlite3.connect(yard.evidence).close()
    return True


@exploit("file_write")
def make_a_database_by_sql(yard: Yard) -> bool:
    database = sqlite3.connect(":memory:")
    database.execute(f"ATTACH '{yard.evidence}' AS other").execute("CREATE TABLE other.t (a)")
    return yard.evidence.exists()


@exploit("file_write")
def make_a_database_by_a_bound_name(yard: Yard) -> bool:
    database = sqlite3.connect(":memory:")
    database.execute("ATTACH ? AS other", (str(yard.evidence),)).execute("CREATE TABLE other.t (a)")
    return yard.evidence.exists()


@exploit("file_write")
def make_a_database_by_sql_of_a_connection_of_its_own_making(yard: Yard) -> bool:
    database = sqlite3.Connection(":memory:")
    database.execute(f"ATTACH '{yard.evidence}' AS other").execute("CREATE TABLE other.t (a)")
    return yard.evidence.exists()


@exploit("file_write")
def copy_a_database_by_sql(yard: Yard) -> bool:
    sqlite3.connect(":memory:", isolation_level=None).execute(f"VACUUM INTO '{yard.evidence}'")
    return yard.evidence.exists()


# Sockets. On uvloop none of these raises an event.


@exploit("socket")
async def connect_by_the_loop(yard: Yard) -> bool:
    _, writer = await asyncio.open_connection("127.0.0.1", yard.port)
    writer.close()
    return True


@exploit("socket")
def connect_by_a_socket(yard: Yard) -> bool:
    socket.create_connection(("127.0.0.1", yard.port), timeout=5).close()
    return True


@exploit("socket")
def fetch_a_url(yard: Yard) -> bool:
    with contextlib.suppress(
        http.client.HTTPException, ConnectionError
    ):  # nobody answers; that it was called is enough
        urllib.request.urlopen(f"http://127.0.0.1:{yard.port}/", timeout=5)
    return True


@exploit("socket")
async def fetch_by_a_client(yard: Yard) -> bool:
    async with httpx2.AsyncClient(trust_env=False) as client:
        with contextlib.suppress(httpx2.RemoteProtocolError, httpx2.ReadError):
            await client.get(f"http://127.0.0.1:{yard.port}/", timeout=5)
    return True


@exploit("socket")
def ask_for_a_name(_yard: Yard) -> bool:
    return bool(socket.getaddrinfo("localhost", 80))


@exploit("socket")
async def ask_the_loop_for_a_name(_yard: Yard) -> bool:
    return bool(await asyncio.get_running_loop().getaddrinfo("localhost", 80))


@exploit("socket")
def send_a_datagram(yard: Yard) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"stolen", ("127.0.0.1", yard.port)) == 6


@exploit("socket")
async def datagrams_of_the_loop(yard: Yard) -> bool:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", yard.port)
    )
    transport.close()
    return True


@exploit("socket")
async def datagrams_of_the_loop_to_anybody(yard: Yard) -> bool:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, family=socket.AF_INET
    )
    transport.sendto(b"secret", ("127.0.0.1", yard.port))
    transport.close()
    return True


@exploit("socket")
async def ask_the_loop_whose_address_it_is(yard: Yard) -> bool:
    return bool(await asyncio.get_running_loop().getnameinfo(("127.0.0.1", yard.port), socket.NI_NUMERICHOST))


@exploit("socket")
def listen(_yard: Yard) -> bool:
    socket.create_server(("127.0.0.1", 0)).close()
    return True


@exploit("socket")
async def listen_by_the_loop(_yard: Yard) -> bool:
    (await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)).close()
    return True


@exploit("socket")
def connect_to_a_file(yard: Yard) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(yard.folder / "door"))
    return True


# Native code, and objects from bytes.


@exploit("native")
def open_the_c_library(_yard: Yard) -> bool:
    return bool(ctypes.CDLL(None).getpid() == os.getpid())


@exploit("native")
def load_an_extension(yard: Yard) -> bool:
    path = str(yard.folder / "lib.so")
    loader: Any = importlib.machinery.ExtensionFileLoader("_lsprof", path)
    spec: Any = importlib.util.spec_from_file_location("_lsprof", path, loader=loader)
    return importlib.util.module_from_spec(spec) is not None


class Opened:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@exploit("deserialisation")
def unpickle(yard: Yard) -> bool:
    with trusted():
        poison = pickle.dumps(Opened(yard.evidence))
    pickle.loads(poison)
    return yard.evidence.exists()


@exploit("deserialisation")
def unmarshal(_yard: Yard) -> bool:
    return bool(marshal.loads(marshal.dumps([1])))


# What a client sends, in SQL.


@exploit("sql")
def run_what_was_sent(_yard: Yard) -> bool:
    check_sql("SELECT * FROM users WHERE name = '' OR 1=1 --'")
    return True


async def run(function: Exploit, yard: Yard) -> Any:
    done = function(yard)
    return await done if asyncio.iscoroutine(done) else done


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    folder = tmp_path / "yard"
    (folder / "mine").mkdir(parents=True)
    (folder / "outbox").mkdir()
    (folder / "secret.txt").write_text(SECRET)
    (folder / "mine-not").write_text(SECRET)
    (folder / "outbox" / "old.txt").write_text(SECRET)
    (folder / "mine" / "note.txt").write_text("note")
    (folder / "mine" / "link.txt").symlink_to(folder / "secret.txt")
    (folder / "plugin.py").write_text("DONE = True\n")
    spec = importlib.util.find_spec("_lsprof")
    assert spec is not None
    shutil.copy(str(spec.origin), folder / "lib.so")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as door,
    ):
        datagrams.bind(listener.getsockname())
        here = Path.cwd()
        os.chdir(folder)  # the name of a socket is at most 107 characters
        door.bind("door")
        os.chdir(here)
        door.listen()
        listener.settimeout(None)
        closing = threading.Thread(target=_hang_up, args=(listener,), daemon=True)
        closing.start()
        yield Yard(folder, listener.getsockname()[1])


def _hang_up(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


def plain(yard: Yard) -> ASGIApp:
    async def handler(request: Request) -> JSONResponse:
        await request.body()
        function = EXPLOITS[request.path_params["name"]][1]
        return JSONResponse({"done": bool(await run(function, yard))})

    return Starlette(routes=[Route("/{name}", handler, methods=["POST"])])


def armoured(yard: Yard, refusals: list[ContainmentError]) -> ASGIApp:
    inner = Containment(
        plain(yard),
        name="POST /{name}",
        read=[str(yard.mine)],
        write=[str(yard.folder / "outbox")],
        on_refusal=refusals.append,
    )

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await inner(scope, receive, send)
        except ContainmentError as error:
            await JSONResponse({"refused": error.kind}, 500)(scope, receive, send)

    return answer


PAYLOAD = {"name": "' OR 1=1 --", "sort": "id"}


@pytest.mark.parametrize("name", EXPLOITS)
def test_the_exploit_succeeds_in_a_plain_application(name: str, yard: Yard) -> None:
    with serve(plain(yard)) as url:
        assert httpx2.post(f"{url}/{name}", json=PAYLOAD).json() == {"done": True}


@pytest.mark.parametrize("name", EXPLOITS)
def test_the_exploit_does_not_succeed_in_a_contained_one(name: str, yard: Yard) -> None:
    refusals: list[ContainmentError] = []
    before = sorted(yard.folder.rglob("*"))
    with serve(armoured(yard, refusals)) as url:
        answer = httpx2.post(f"{url}/{name}", json=PAYLOAD)
    kind = EXPLOITS[name][0]
    assert (answer.status_code, answer.json()) == (500, {"refused": kind})
    assert refusals[0].kind == kind
    assert refusals[0].name == "POST /{name}"
    assert sorted(yard.folder.rglob("*")) == before
    assert yard.secret.read_text() == SECRET
    assert yard.secret.stat().st_mode & 0o777 != 0o777


# What an honest handler does works as if nothing stood round it.

HONEST: dict[str, Exploit] = {}


def honest(function: Exploit) -> Exploit:
    HONEST[function.__name__] = function
    return function


@honest
def define_classes(_yard: Yard) -> bool:
    kind: Any = vars(collections)["namedtuple"]
    pair = kind("pair", ["left", "right"])(1, 2)
    made = dataclasses.make_dataclass("Made", ["value"])(3)
    return (pair.left, pair.right, made.value) == (1, 2, 3)


@honest
def import_late(_yard: Yard) -> bool:
    sys.modules.pop("xmlrpc.client", None)
    import xmlrpc.client

    return xmlrpc.client is not None


@honest
def import_native_late(_yard: Yard) -> bool:
    sys.modules.pop("_lsprof", None)
    import _lsprof

    return _lsprof is not None


@honest
def use_a_time_zone(_yard: Yard) -> bool:
    return zoneinfo.ZoneInfo.no_cache("Europe/Berlin").key == "Europe/Berlin"


@honest
def use_a_temporary_file(_yard: Yard) -> bool:
    with tempfile.TemporaryFile() as file, tempfile.NamedTemporaryFile() as named:
        return file.write(b"x") + named.write(b"x") == 2


@honest
def read_what_is_declared(yard: Yard) -> bool:
    return (yard.mine / "note.txt").read_text() == "note"


@honest
def write_where_it_is_declared(yard: Yard) -> bool:
    path = yard.folder / "outbox" / "new.txt"
    path.write_text("new")
    path.rename(path.with_suffix(".done"))
    path.with_suffix(".done").unlink()
    return True


@honest
def replace_a_folder_where_it_is_declared(yard: Yard) -> bool:
    folder = yard.folder / "outbox" / "batch"
    folder.mkdir()
    os.symlink(yard.mine / "note.txt", folder / "note")
    (folder / "note").unlink()
    folder.rmdir()
    return True


@honest
async def reach_a_declared_host(yard: Yard) -> bool:
    _, writer = await asyncio.open_connection("127.0.0.2", yard.port)
    writer.close()
    return True


@honest
def reach_a_declared_name(yard: Yard) -> bool:
    """Whatever addresses the name has."""
    found = socket.getaddrinfo("ip6-localhost", yard.port, type=socket.SOCK_STREAM)
    with socket.socket(found[0][0], socket.SOCK_STREAM) as client:
        client.settimeout(1)
        return isinstance(client.connect_ex(found[0][4]), int)


@honest
def tell_of_an_error(_yard: Yard) -> bool:
    try:
        int("x")
    except ValueError:
        linecache.clearcache()
        return "ValueError" in traceback.format_exc()
    return False


@honest
def parse_what_is_no_python(_yard: Yard) -> bool:
    """The interpreter opens "<unknown>" to show the line; Python 3.13 so in each traceback that points at a raise."""
    try:
        ast.parse("(raise x)")
    except SyntaxError as error:
        return error.lineno == 1
    return False


@honest
def tell_of_an_error_in_a_file_of_its_own(yard: Yard) -> bool:
    """Whose lines the traceback shows, wherever it lies."""
    code: Any = None
    path = yard.folder / "plugin.py"
    with trusted():
        path.write_text("def fail():\n    raise ValueError('x')\n")
        code = {}
        exec(compile(path.read_text(), str(path), "exec"), code)
    try:
        code["fail"]()
    except ValueError:
        return "raise ValueError('x')" in traceback.format_exc()
    return False


@honest
def go_through_a_trusted_door(yard: Yard) -> bool:
    with trusted():
        return yard.secret.read_text() == SECRET


@honest
def run_sql_of_its_own(_yard: Yard) -> bool:
    check_sql("SELECT id, name FROM users WHERE name = :name ORDER BY id")
    return True


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_handler_is_left_alone(name: str, yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPLOITS, name, ("", HONEST[name]))
    refusals: list[ContainmentError] = []
    if name == "reach_a_declared_name" and not _has_name("ip6-localhost"):
        monkeypatch.setitem(EXPLOITS, name, ("", lambda yard: bool(socket.getaddrinfo("127.0.0.2", yard.port))))
    inner = Containment(
        plain(yard),
        name=name,
        read=[str(yard.mine), str(Path(__file__).parent)],
        write=[str(yard.folder / "outbox")],
        hosts=["127.0.0.2", "ip6-localhost"],
        on_refusal=refusals.append,
    )
    with socket.create_server(("127.0.0.2", yard.port)), serve(inner) as url:
        answer = httpx2.post(f"{url}/{name}", json=PAYLOAD)
    assert (refusals, answer.status_code, answer.json()) == ([], 200, {"done": True})


def _has_name(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, 1))
    except OSError:
        return False


ENDS = {
    "os._exit": "os._exit(7)",
    "os.abort": "os.abort()",
    "asyncio": "loop.add_signal_handler(signal.SIGTERM, print)",
    "uvloop": "loop.add_signal_handler(signal.SIGTERM, print)",
}
"""What would end a process, or have it not end when it is asked to: tried in one that may be lost."""


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("inside", [False, True])
def test_the_process_is_left_as_it_is(name: str, *, inside: bool) -> None:
    text = f"""
import asyncio, contextlib, os, signal, uvloop
from {Containment.__module__} import contained

async def main():
    loop = asyncio.get_running_loop()
    with contained("a call") if {inside} else contextlib.nullcontext():
        {ENDS[name]}

loop = uvloop.new_event_loop() if "{name}" == "uvloop" else asyncio.new_event_loop()
loop.run_until_complete(main())
raise SystemExit(0 if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else 9)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    outside = {"os._exit": 7, "os.abort": -signal.SIGABRT}.get(name, 9)
    assert done.returncode == (1 if inside else outside), done.stderr
    if inside:
        assert "ContainmentError: process: " in done.stderr


def test_a_handler_that_swallows_a_refusal_is_answered_for(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def swallow(yard: Yard) -> bool:
        try:
            return bool(yard.secret.read_text())
        except Exception:  # noqa: BLE001 - as the worst of them do
            return True

    monkeypatch.setitem(EXPLOITS, "swallow", ("file_read", swallow))
    refusals: list[ContainmentError] = []
    with serve(armoured(yard, refusals)) as url:
        assert httpx2.post(f"{url}/swallow").json() == {"refused": "file_read"}
    assert [refusal.argument for refusal in refusals] == [str(yard.secret)]


def test_what_runs_outside_is_not_looked_at(yard: Yard) -> None:
    with serve(armoured(yard, [])):
        assert yard.secret.read_text() == SECRET
        assert eval("1 + 1") == 2


def test_requests_beside_each_other_are_contained_apart(yard: Yard) -> None:
    refusals: list[ContainmentError] = []
    with serve(armoured(yard, refusals)) as url, concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = ["define_classes", "read_a_file"] * 20
        EXPLOITS["define_classes"] = ("", define_classes)
        try:
            statuses = list(pool.map(lambda name: httpx2.post(f"{url}/{name}").status_code, names))
        finally:
            del EXPLOITS["define_classes"]
    assert statuses == [200, 500] * 20
    assert len(refusals) == 20


def test_any_code_can_be_contained(yard: Yard) -> None:
    refusals: list[ContainmentError] = []
    with contained("job", read=[str(yard.mine)], on_refusal=refusals.append):
        assert (yard.mine / "note.txt").read_text() == "note"
    with (
        pytest.raises(ContainmentError) as caught,
        contained("job", read=[str(yard.mine)], on_refusal=refusals.append),
        pytest.raises(ContainmentError),
    ):
        yard.secret.read_text()
    assert (caught.value.name, caught.value.kind, caught.value.event) == ("job", "file_read", "open")
    assert refusals == [caught.value]
    assert yard.secret.read_text() == SECRET


def test_the_thread_of_a_pool_is_not_left_inside(yard: Yard) -> None:
    """The thread that an executor starts for a contained call serves others afterwards."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with contained("job"):
            pool.submit(dict).result()
        assert pool.submit(yard.secret.read_text).result() == SECRET


def test_who_is_told_of_a_refusal_is_not_contained(yard: Yard) -> None:
    """A log that is opened when there is something to say, say."""

    def tell(error: ContainmentError) -> None:
        yard.evidence.write_text(error.kind)

    with pytest.raises(ContainmentError), contained("job", on_refusal=tell):
        yard.secret.read_text()
    assert yard.evidence.read_text() == "file_read"


def test_the_argument_of_a_refusal_is_bounded() -> None:
    with pytest.raises(ContainmentError) as caught, contained("job"):
        eval("1" + " + 1" * 1000)
    assert len(caught.value.argument) == 500


# What of a request is looked for in SQL.

PARTS = [(b"content-type", b"multipart/form-data; boundary=e")]
SENT: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "a query value": ({"query_string": b"q=%27%20OR%201%3D1"}, b"", "' or 1=1"),
    "a query name": ({"query_string": b"a%3Db=1"}, b"", "a=b"),
    "a path parameter": ({"path_params": {"name": "x; DROP TABLE users"}}, b"", "x; DROP TABLE users"),
    "a header": ({"headers": [(b"x-sort", b"name DESC")]}, b"", "name DESC"),
    "a cookie": ({"headers": [(b"cookie", b"a=1; sort=name DESC")]}, b"", "name DESC"),
    "a value in JSON": ({}, json.dumps({"a": [{"b": "1=1"}]}).encode(), "1=1"),
    "a name in JSON": ({}, json.dumps({"a b": 1}).encode(), "a b"),
    "a form": ({}, b"name=a+b&c=1", "a b"),
    "a form with many separators": ({}, b"&" * 2000 + b"name=a+b", "a b"),
    "a form in another encoding": ({}, "name=a b\xe9".encode(), "a b\xc3\xa9"),
    "a form in parts": ({"headers": PARTS}, b'x\r\n--e\r\nC: f; name="n"\r\n\r\na b\r\n--e--', "a b"),
    "the name of a file": ({"headers": PARTS}, b'--e\r\nC: f; name="n"; filename="a b"\r\n\r\n\r\n--e--', "a b"),
    "a cookie without a name": ({"headers": [(b"cookie", b"a=1; name DESC")]}, b"", "name DESC"),
    "a quoted cookie": ({"headers": [(b"cookie", b'a="name DESC"')]}, b"", "name DESC"),
    "a cookie with escapes": ({"headers": [(b"cookie", b'a="1\\0751 \\or x"')]}, b"", "1=1 or x"),
    "a form with a boundary beside its own": (
        {"headers": [(b"content-type", b"multipart/form-data; xboundary=a; boundary=b; boundary=e")]},
        b'--e\r\nC: f; name="n"\r\n\r\na b\r\n--e--',
        "a b",
    ),
    "a form with a second header": (
        {"headers": [(b"content-type", b"multipart/form-data; boundary=a; boundary=e"), (b"content-type", b"text/x")]},
        b'--e\r\nC: f; name="n"\r\n\r\na b\r\n--e--',
        "a b",
    ),
    "a form with a boundary that is quoted": (
        {"headers": [(b"content-type", b'multipart/form-data; a="; boundary=a"; boundary="e\\"f"')]},
        b'--e"f\r\nC: f; name="n"\r\n\r\na b\r\n--e"f--',
        "a b",
    ),
    "the name of a file without quotes": (
        {"headers": PARTS},
        b"--e\r\nC: f; name=n; filename=a b\r\n\r\n\r\n--e--",
        "a b",
    ),
    "the name of a file with its folder": (
        {"headers": PARTS},
        b'--e\r\nC: f; name="n"; filename="C:\\x\\a b"\r\n\r\n\r\n--e--',
        "a b",
    ),
    "the type of a file": ({"headers": PARTS}, b"--e\r\nC: f\r\nContent-Type: a b\r\n\r\n\r\n--e--", "a b"),
    "a letter with another form at the end": ({"path_params": {"a": "1=1 A\u03a3"}}, b"", "1=1 A\u03a3B"),
    "a body of text": ({}, b"DELETE FROM users", "delete from users"),
}


async def _request(scope: dict[str, Any], body: bytes, statement: str) -> bool:
    """Tell whether a handler of this request may run a statement."""

    async def handler(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        check_sql(statement)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_message: Any) -> None:
        raise AssertionError

    try:
        await Containment(handler, name="r")({"type": "http", **scope}, receive, send)
    except ContainmentError as error:
        assert error.kind == "sql"  # noqa: PT017 - it is this one's that is asked for
        return False
    return True


@pytest.mark.parametrize("where", SENT)
async def test_what_was_sent_is_not_run(where: str) -> None:
    scope, body, text = SENT[where]
    assert not await _request(scope, body, f"SELECT * FROM t WHERE {text} AND x")
    assert await _request(scope, body, "SELECT * FROM t WHERE name = :name")


async def test_what_is_sent_after_a_first_statement_is_looked_for_too() -> None:
    async def handler(_scope: Scope, receive: Receive, _send: Send) -> None:
        check_sql("SELECT 1")
        for name in ("first", "last"):
            await receive()
            with pytest.raises(ContainmentError):
                check_sql(f"SELECT * FROM t WHERE {name}=1")

    parts = [b"a=first%3D1&", b"b=last%3D1"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(_message: Any) -> None:
        raise AssertionError

    await Containment(handler, name="r")({"type": "http"}, receive, send)
    assert not parts


@pytest.mark.parametrize(
    ("value", "allowed"), [("1=1", False), ("==", True), ("name", True), ("3", True), (" id ", True), ("", True)]
)
async def test_what_cannot_change_a_statement_passes(value: str, *, allowed: bool) -> None:
    scope = {"path_params": {"value": value}}
    assert await _request(scope, b"", f"SELECT id FROM t WHERE {value}") is allowed


async def test_a_credential_is_not_looked_for() -> None:
    assert await _request({"headers": [(b"authorization", b"x = y")]}, b"", "SELECT 1 WHERE x = y")


async def test_nothing_can_be_hidden_behind_many_values() -> None:
    body = json.dumps(["last=1", *(f"v={number}" for number in range(20_000))]).encode()
    assert not await _request({}, body, "SELECT last=1")
    query = b"q=last%3D1" + b"&a" * 5000
    assert not await _request({"query_string": query}, b"", "SELECT last=1")


def test_a_body_is_not_kept_once_for_each_boundary_that_a_client_names() -> None:
    from app.patterns.containment import _texts_sent

    names = [f"b{number}" for number in range(1000)]
    header = "multipart/form-data" + "".join(f";boundary={name}" for name in names)
    body = "".join(f"--{name}\r\n\r\n" for name in names).encode() + b"a b" * 10_000
    texts = _texts_sent({"headers": [(b"content-type", header.encode())]}, body)
    assert sum(map(len, texts)) < 10 * len(body)


async def test_what_has_no_end_is_read_in_time_that_grows_with_its_length() -> None:
    """Each of these took a pattern that goes back and forth minutes."""
    for head in (b";" + b" " * 200_000, b';a="' * 50_000, b";" + b"a" * 200_000, b';"' * 100_000):
        started = time.process_time()
        assert await _request({"headers": PARTS}, b"--e\r\n" + head + b"\r\n\r\n", "SELECT 1")
        assert time.process_time() - started < 5


async def test_so_much_of_a_body_is_kept_and_no_more() -> None:
    from app.patterns.containment import MAX_BODY

    for length, allowed in ((MAX_BODY, False), (MAX_BODY + 1, True)):
        assert await _request({}, b"a=b".rjust(length, b"."), "." * (MAX_BODY - 3) + "a=b") is allowed


async def test_what_is_not_http_is_not_contained(yard: Yard) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        assert yard.secret.read_text() == SECRET

    await Containment(app, name="r")({"type": "lifespan"}, None, None)  # type: ignore[arg-type]


def test_a_file_that_is_too_large_for_memory_goes_to_the_disk() -> None:
    """Who asks for the folder of temporary files in the hook waits for a lock that tempfile holds."""
    code = (
        "import tempfile; from app.patterns.containment import contained\n"
        "with contained('job'), tempfile.SpooledTemporaryFile(max_size=1) as file:\n    file.write(b'too large')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
