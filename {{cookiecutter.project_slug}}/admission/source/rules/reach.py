"""BW501, BW502, BW505, BW507: what a handler reaches, and what cannot be understood."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import argument_node, calls, free, named
from admission.source.outbound import undeclared
from admission.source.read import import_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()


@registry.rule("BW501", "An outbound call that nobody declared")
def outbound(module: Module) -> Iterator[Fault]:
    """Point at clients of other services that are no declared upstream."""
    for call in calls(module):
        name = undeclared(call) or next(
            (
                name
                for value in call.args
                for name in sorted(value.names)
                if name.startswith(("requests.", "urllib.request.", "httpx."))
                and name.rpartition(".")[2] in {"get", "post", "put", "patch", "delete", "request", "urlopen", "head"}
            ),
            None,
        )
        if name is not None:
            yield Fault(
                call.node,
                f"`{name}` leaves the service past its upstreams: no deadline, no breaker, no bound on what comes back, and policy.toml does not know of it.",
                "Ask for a declared upstream: `payments: Payments` from `app.dependencies`, and name it in the route's `outbound` in policy.toml.",
            )


_IMPORTING: Final = frozenset(
    {
        "importlib.import_module",
        "importlib.__import__",
        "builtins.__import__",
        "importlib.reload",
        "importlib.util.spec_from_file_location",
        "importlib.util.module_from_spec",
        "importlib.util.spec_from_loader",
        "pkgutil.resolve_name",
        "pkgutil.walk_packages",
        "pkgutil.iter_modules",
        "imp.load_source",
        "imp.load_module",
        "importlib.machinery.SourceFileLoader",
        "zipimport.zipimporter",
        "importlib.metadata.entry_points",
        "pydoc.locate",
        "django.utils.module_loading.import_string",
        "werkzeug.utils.import_string",
    }
)


@registry.rule("BW502", "A dynamic import")
def dynamic_import(module: Module) -> Iterator[Fault]:
    """Point at imports whose module is decided at run time."""
    for call in calls(module):
        name = named(call, _IMPORTING) or next(
            (name for value in call.args for name in sorted(value.names) if name in _IMPORTING), None
        )
        if name is not None:
            said = (
                "of the client's choice" if any(free(value) for value in call.args) else "that no check of imports sees"
            )
            yield Fault(
                call.node,
                f"`{name.removeprefix('builtins.')}` loads a module {said}. Its code runs in the service.",
                'Import it at the top of the file; choose among a few with a constant dictionary: `EXPORTERS = {"csv": to_csv, "json": to_json}`.',
            )
    for node in module.walk(ast.ImportFrom):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield Fault(
                node,
                "Which names this brings in cannot be seen here; they hide what the file's own names mean.",
                "Import the names that you use.",
            )


_ALLOWED: Final = ("app.dependencies", "app.models")
_FORBIDDEN: Final = {
    **dict.fromkeys(("subprocess", "pty", "pexpect", "multiprocessing", "commands", "plumbum"), "starts processes"),
    **dict.fromkeys(("ctypes", "cffi", "_ctypes", "mmap"), "reaches past Python into memory"),
    **dict.fromkeys(("code", "codeop", "runpy", "pdb", "bdb", "ipdb", "debugpy", "marshal"), "runs or stops code"),
    **dict.fromkeys(
        ("unittest.mock", "mock", "pytest", "forbiddenfruit", "wrapt", "gevent", "eventlet", "nest_asyncio"),
        "replaces parts of the running service",
    ),
    **dict.fromkeys(
        ("sys._getframe", "_thread", "_posixsubprocess", "_socket", "imp"), "reaches behind the interpreter"
    ),
}


@registry.rule("BW505", "An import that a handler may not have")
def forbidden_import(module: Module) -> Iterator[Fault]:
    """Point at imports of the scaffold, of other handlers, and of what no handler needs."""
    for node in module.walk(ast.Import, ast.ImportFrom):
        for name in _imported(node):
            if (name == "app" or name.startswith("app.")) and not _may_use(name):
                yield Fault(
                    node,
                    f"`{name}` is the inside of the service. A handler that reaches into it can switch its guards off, and breaks when it changes.",
                    "Ask for what you need in `app.dependencies`: `from app.dependencies import Caller, Session`.",
                )
            elif name == "admission" or name.startswith("admission."):
                yield Fault(
                    node,
                    "This is the gate that judges handlers; no handler has business with it.",
                    "Take the import out.",
                )
            else:
                reason = next(
                    (
                        reason
                        for forbidden, reason in _FORBIDDEN.items()
                        if name == forbidden or name.startswith(f"{forbidden}.")
                    ),
                    None,
                )
                if reason is not None:
                    yield Fault(
                        node,
                        f"`{name}` {reason}; no guard of the service holds it.",
                        "Take the import out; what needs it belongs in a declared upstream or in the service itself.",
                    )


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        source = import_source(node)
        yield from (
            (f"{source}.{alias.name}" if source in {"app", "app.handlers", "unittest"} or node.level else source)
            for alias in node.names
        )


def _may_use(name: str) -> bool:
    if any(name == allowed or name.startswith(f"{allowed}.") for allowed in _ALLOWED):
        return True
    # A module whose name begins with an underscore is a helper of the handlers beside it.
    return name.startswith("app.handlers._")


@registry.rule("BW507", "A construct that cannot be understood", "remark")
def unknown(module: Module) -> Iterator[Fault]:
    """Point at what hides from the analysis which object is meant."""
    mend = "Write out what is meant: a constant dictionary, an `if`, or a named attribute."
    for call in calls(module):
        if _is_hidden_attribute(module, call):
            message = "Which attribute this is, the gate cannot see; so it could not judge what happens with it."
            yield Fault(call.node, message, mend)
        elif _is_namespace(call):
            yield Fault(call.node, "What this makes or reaches, the gate cannot see; so it could not judge it.", mend)
    for info in module.classes.values():
        if any(keyword.arg == "metaclass" for keyword in info.node.keywords):
            yield Fault(info.node, "A metaclass decides what this class does; the gate did not follow it.", mend)
        for name in _HOOKS:
            if name in info.methods:
                message = f"`{name}` decides at run time what an attribute is; the gate did not follow it."
                yield Fault(info.methods[name], message, mend)
    if "__getattr__" in module.functions:
        yield Fault(
            module.functions["__getattr__"],
            "This decides at run time which names the module has; the gate did not follow it.",
            mend,
        )


_HOOKS: Final = ("__getattr__", "__getattribute__", "__init_subclass__", "__class_getitem__", "__set_name__")
_BY_NAME: Final = {
    "builtins.getattr": 1,
    "builtins.setattr": 1,
    "builtins.delattr": 1,
    "operator.attrgetter": 0,
    "operator.methodcaller": 0,
}


def _is_hidden_attribute(module: Module, call: Call) -> bool:
    name = named(call, _BY_NAME)
    node = argument_node(call, _BY_NAME[name]) if name is not None else None
    value = module.value(node)
    return node is not None and value.constant is None and not value.fixed and not free(value)


def _is_namespace(call: Call) -> bool:
    """`globals()`, `locals()`, `vars()`, and `type(name, bases, namespace)`, which makes a class."""
    arguments = len(call.node.args)
    if named(call, {"builtins.type"}):
        return arguments == 3
    return named(call, {"builtins.globals", "builtins.locals", "builtins.vars"}) is not None and arguments == 0
