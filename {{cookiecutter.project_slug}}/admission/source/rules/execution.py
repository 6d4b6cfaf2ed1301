"""BW102, BW103, BW110: processes, code, and data that becomes code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import argument_node, calls, first_touched, free, is_constant, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module

registry = Registry()

_PROCESSES: Final = frozenset(
    {
        "os.system",
        "os.popen",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.posix_spawnp",
        "os.startfile",
        "pty.spawn",
        "pty.fork",
    }
    | {f"os.exec{form}" for form in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")}
    | {f"os.spawn{form}" for form in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")}
    | {
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "anyio.run_process",
        "anyio.open_process",
        "trio.run_process",
    }
    | {f"asyncio.AbstractEventLoop.subprocess_{form}" for form in ("exec", "shell")}
    | {
        "?.subprocess_exec",
        "?.subprocess_shell",
        "?.create_subprocess_shell",
        "?.create_subprocess_exec",
        "invoke.run",
        "sh.Command",
    }
)
_PROCESS_MODULES: Final = (
    "subprocess",
    "commands",
    "pexpect",
    "plumbum",
    "fabric",
    "paramiko",
    "asyncssh",
    "multiprocessing",
)
_HARMLESS: Final = frozenset(
    {
        "subprocess.list2cmdline",
        "subprocess.CalledProcessError",
        "subprocess.TimeoutExpired",
        "multiprocessing.cpu_count",
    }
)

_CODE: Final = frozenset(
    {
        "builtins.eval",
        "builtins.exec",
        "builtins.compile",
        "builtins.execfile",
        "types.FunctionType",
        "types.CodeType",
        "types.LambdaType",
        "pandas.eval",
        "numexpr.evaluate",
        "marshal.loads",
        "marshal.load",
        "timeit.timeit",
        "timeit.repeat",
        "cProfile.run",
        "cProfile.runctx",
        "profile.run",
        "trace.Trace.run",
        "asteval.Interpreter",
        "js2py.eval_js",
    }
)
_CODE_MODULES: Final = ("code", "codeop", "runpy", "pdb", "bdb", "RestrictedPython")

_HARMFUL: Final = frozenset({"builtins", "os", "subprocess", "sys", "ctypes", "importlib", "shutil", "socket"})
"""Modules of which nobody asks for an attribute by a computed name without meaning harm."""

_UNPICKLING: Final = frozenset(
    {
        "jsonpickle.decode",
        "jsonpickle.loads",
        "joblib.load",
        "torch.load",
        "pandas.read_pickle",
        "pandas.read_hdf",
        "shelve.open",
        "shelve.Shelf",
        "shelve.DbfilenameShelf",
        "marshal.load",
        "marshal.loads",
        "yaml.unsafe_load",
        "yaml.unsafe_load_all",
        "yaml.full_load",
        "yaml.full_load_all",
        "multiprocessing.connection.Client",
        "dill.load",
        "dill.loads",
        "pickle.load",
        "pickle.loads",
        "pickle.Unpickler",
        "xmlrpc.client.loads",
    }
)
_SAFE_LOADERS: Final = frozenset({"yaml.SafeLoader", "yaml.CSafeLoader", "yaml.BaseLoader", "yaml.CBaseLoader"})
_XML: Final = frozenset(
    f"xml.{module}.{function}"
    for module, functions in {
        "etree.ElementTree": (
            "fromstring",
            "XML",
            "parse",
            "iterparse",
            "fromstringlist",
            "XMLParser",
            "XMLPullParser",
        ),
        "etree.cElementTree": ("fromstring", "parse"),
        "dom.minidom": ("parse", "parseString"),
        "dom.pulldom": ("parse", "parseString"),
        "sax": ("parse", "parseString", "make_parser"),
        "parsers.expat": ("ParserCreate",),
    }.items()
    for function in functions
) | {
    "lxml.etree.fromstring",
    "lxml.etree.parse",
    "lxml.etree.XML",
    "lxml.objectify.fromstring",
    "lxml.etree.iterparse",
    "lxml.html.fromstring",
    "xmltodict.parse",
    "xml.etree.ElementTree.XMLParser.feed",
    "xml.etree.ElementTree.XMLPullParser.feed",
    "xml.parsers.expat.ParserCreate().Parse",
    "xml.parsers.expat.ParserCreate().ParseFile",
}


@registry.rule("BW102", "A process is started")
def process(module: Module) -> Iterator[Fault]:
    """Point at everything that starts another program."""
    for call in calls(module):
        name = first_touched(call, _PROCESSES, _PROCESS_MODULES)
        if name is None or name in _HARMLESS or name.rpartition(".")[2] in {"PIPE", "DEVNULL", "STDOUT"}:
            continue
        hostile = any(free(value) for value in (*call.args, *call.keywords.values()))
        said = (
            "with text of the client in its command line: whoever sends it runs programs here"
            if hostile
            else "whose time, memory and reach no guard of the service bounds"
        )
        yield Fault(
            call.node,
            f"`{name}` starts another program, {said}.",
            "Do it in Python with a library; what needs another program belongs in a declared upstream: `result = await converter.convert(data)`.",
        )


@registry.rule("BW103", "Text becomes code")
def code(module: Module) -> Iterator[Fault]:
    """Point at everything that runs text as code."""
    for call in calls(module):
        name = first_touched(call, _CODE, _CODE_MODULES)
        if (
            name is None
            and named(call, {"builtins.getattr"})
            and call.args
            and call.args[0].names & _HARMFUL
            and len(call.args) > 1
            and call.args[1].constant is None
        ):
            name = f"{min(call.args[0].names & _HARMFUL)} by a computed name"
        if name is not None and name not in _UNPICKLING:
            yield Fault(
                call.node,
                f"`{name.removeprefix('builtins.')}` runs text as code. Whatever reaches it can do everything that the service can.",
                'Look the action up in a constant dictionary: `OPERATIONS = {"sum": sum, "max": max}`, then `OPERATIONS[body.operation](values)`; parse literals with `ast.literal_eval`.',
            )


@registry.rule("BW110", "Unsafe deserialisation")
def deserialisation(module: Module) -> Iterator[Fault]:
    """Point at loaders that create any object, or whose input can grow without bound."""
    for call in calls(module):
        name = first_touched(call, _UNPICKLING)
        if name is None and named(call, {"yaml.load", "yaml.load_all"}):
            loader = argument_node(call, 1, "Loader")
            if loader is None or not module.value(loader).names & _SAFE_LOADERS:
                name = "yaml.load"
        if name is None and named(call, {"numpy.load"}) and is_constant(call.argument(None, "allow_pickle"), True):
            name = "numpy.load"
        if name is not None:
            yield Fault(
                call.node,
                f"`{name}` creates any object that its bytes name. Whoever writes the bytes runs code in the service.",
                "Exchange JSON and validate it: `Model.model_validate_json(raw)`; for YAML `yaml.safe_load(text)`.",
            )
            continue
        name = first_touched(call, _XML)
        if name is not None and any(free(value) for value in (*call.args, call.receiver)):
            yield Fault(
                call.node,
                f"`{name}` expands entities. A few hundred bytes from the client become gigabytes, or the content of files.",
                "Ask for JSON; if it has to be XML: `defusedxml.ElementTree.fromstring(raw)`.",
            )
