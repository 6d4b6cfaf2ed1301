"""BW416 to BW420: what browsers are told, doors for debugging, and the environment."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.headers import headers_set
from admission.source.match import argument_node, calls, is_constant, method, named
from admission.source.routes import prefix_of
from admission.source.tree import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Module

registry = Registry()


@registry.rule("BW416", "CORS loosened")
def cors(module: Module) -> Iterator[Fault]:
    """Point at origins that a handler lets in."""
    mend = "Take it out: which origins may call is a setting of the service, not of a handler."
    message = "This lets pages of other origins call the service, and read what it answers."
    for call in calls(module):
        if named(call, {"fastapi.middleware.cors.CORSMiddleware"}) or any(
            "fastapi.middleware.cors.CORSMiddleware" in value.names for value in call.args
        ):
            yield Fault(call.node, message, mend)
    for name, node, _ in headers_set(module):
        if name.startswith("access-control-"):
            yield Fault(node, message, mend)


@registry.rule("BW417", "A cookie without its guards")
def cookie(module: Module) -> Iterator[Fault]:
    """Point at cookies that scripts can read, that travel in the clear, or that other sites can send."""
    mend = '`response.set_cookie("theme", value, httponly=True, secure=True, samesite="lax", max_age=3600)`; who is calling is told by the token, never by a cookie.'
    for call in calls(module):
        if method(call) != "set_cookie" or call.functions:
            continue
        missing = [name for name in ("httponly", "secure") if not is_constant(call.keywords.get(name), True)]
        same_site = call.keywords.get("samesite")
        if same_site is not None and (
            is_constant(same_site, None) or str(getattr(same_site.constant, "value", "lax")).lower() == "none"
        ):
            missing.append("samesite")
        if missing and "**" not in call.keywords:
            yield Fault(
                call.node,
                f"This cookie has no {', no '.join(missing)}: scripts read it, it travels in the clear, or another site sends it along.",
                mend,
            )
    for name, node, _ in headers_set(module):
        if name == "set-cookie":
            yield Fault(node, "A cookie written by hand has only the guards that its text names.", mend)


_GUARDING: Final = frozenset(
    {
        "x-frame-options",
        "content-security-policy",
        "strict-transport-security",
        "x-content-type-options",
        "referrer-policy",
        "permissions-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "cross-origin-embedder-policy",
        "x-xss-protection",
        "x-permitted-cross-domain-policies",
        "content-security-policy-report-only",
        "server",
        "x-powered-by",
    }
)


@registry.rule("BW418", "A security header loosened")
def header(module: Module) -> Iterator[Fault]:
    """Point at security headers that a handler sets or removes."""
    for name, node, value in headers_set(module):
        said = module.value(value).constant
        told = str(said.value).lower() if said is not None and not isinstance(node, ast.Delete) else ""
        if name == "cache-control" and _PUBLIC.search(told) and _is_of_caller(module, node):
            yield Fault(
                node,
                "This answer is the caller's, and `public` lets a cache on the way hand it to the next who asks.",
                '`"private, max-age=60"`; without this header the service says `no-store`.',
            )
        if name in _GUARDING and not _is_as_strict(name, told):
            yield Fault(
                node,
                f"`{name}` is the service's: set here, it loosens for one answer what holds for all.",
                "Take it out; the service sets it on every answer.",
            )


_PUBLIC: Final = re.compile(r"\b(public|s-maxage)\b")
_STRICTEST: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "deny",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_LOOSE_SOURCE: Final = re.compile(r"\*|https?:|data:|blob:|unsafe-eval|script-src(?!\s+'none')|object-src(?!\s+'none')")


def _is_as_strict(name: str, told: str) -> bool:
    """Return whether a header says what the service says, or tightens it: browsers obey a second content policy beside the first."""
    if name == "content-security-policy":
        return told.startswith("default-src 'none'") and not _LOOSE_SOURCE.search(told)
    return _STRICTEST.get(name) == told.strip()


def _is_of_caller(module: Module, node: ast.AST) -> bool:
    """Return whether an answer is for one caller: its handler asks who is calling, or reads what is somebody's."""
    function = module.function_of(node)
    homes = (
        [function, *(module.function_of(call.node) for call in module.callers.get(function, []))]
        if function is not None
        else []
    )
    for home in homes:
        for part in inside(home) if home is not None else ():
            said = module.value(part).names if isinstance(part, ast.Name | ast.Attribute) else frozenset()
            if any(module.is_owned(name) or name.startswith("app.dependencies.Caller.") for name in said):
                return True
    return False


_DEBUG: Final = re.compile(
    r"(^|[/_-])(debug|_debug|internal[_-]?state|dump|env|environ|environment|config|configuration|phpinfo|stacktrace|traceback|heap|profiler|profiling|shell|pdb|backdoor|__\w+|sysinfo|system-info|server-info|vars|_?console|repl)($|[/_-])",
    re.IGNORECASE,
)
_THREADS: Final = re.compile(r"(^|[/_-])threads($|[/_-])", re.IGNORECASE)
"""A door where the module looks at threads of the process; else a forum's."""
_HARMLESS: Final = re.compile(
    r"(^|/)(users?|me|accounts?|customers?|members?|employees?|companies|v\d+)/.*(profile|config|configuration|dump)|^/?(v\d+/)?(me/)?profiles?(/|$)|notification",
    re.IGNORECASE,
)


@registry.rule("BW419", "A door for debugging")
def debug(module: Module) -> Iterator[Fault]:
    """Point at routes and switches that show or steer the inside."""
    mend = "Take it out. What the service does is in its logs, metrics and traces."
    of_process = any(name.partition(".")[0] in {"sys", "threading", "traceback"} for name in module.imports.values())
    for route in module.routes:
        looks = (
            (_DEBUG.search(route.path) or (of_process and _THREADS.search(route.path)))
            and not _HARMLESS.search(route.path)
            and not re.search(r"profile|config", route.path)
        ) or re.search(r"(^|_)debug(_|$)", route.node.name)
        prefix = prefix_of(module, route)
        if looks or re.search(r"(^|/)_?debug(/|$)", prefix):
            yield Fault(
                route.registration,
                "This is a door for debugging: it shows or steers the inside of the service, to whoever finds it.",
                mend,
            )
        hidden = route.options.get("include_in_schema")
        if hidden is not None and is_constant(module.value(hidden), False):
            yield Fault(
                route.registration,
                "This route is not in OpenAPI: nobody who reads the contract knows of it.",
                "Take `include_in_schema=False` out.",
                "remark",
            )
    tasks = any(named(call, {"asyncio.all_tasks", "asyncio.current_task"}) for call in calls(module))
    for call in calls(module):
        if is_constant(call.keywords.get("debug"), True) and any(
            "fastapi" in name.lower() or "starlette" in name or "flask" in name for name in call.names
        ):
            yield Fault(
                argument_node(call, None, "debug") or call.node,
                "In debug mode an error shows its source and variables to the client.",
                mend,
            )
        if any(
            name.startswith(
                (
                    "pdb.",
                    "builtins.breakpoint",
                    "ipdb.",
                    "debugpy.",
                    "pydevd.",
                    "remote_pdb.",
                    "rpdb.",
                    "objgraph.",
                    "guppy.",
                    "faulthandler.",
                    "tracemalloc.",
                    "cProfile.",
                    "pyinstrument.",
                    "yappi.",
                )
            )
            for name in call.names
        ):
            yield Fault(call.node, "A debugger or profiler stops, slows or opens the process for everybody.", mend)
        if named(call, _FRAMES) or (tasks and method(call) in {"get_stack", "print_stack"} and not call.functions):
            yield Fault(
                call.node,
                "This looks at the frames of what is running: at the requests of others, with all that they hold.",
                mend,
            )
    for node in module.walk(ast.Assign):
        if (
            isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Attribute) and target.attr == "debug" for target in node.targets)
            and is_constant(module.value(node.value), True)
        ):
            yield Fault(node, "In debug mode an error shows its source and variables to the client.", mend)


_FRAMES: Final = frozenset({"sys._current_frames", "sys._current_exceptions", "gc.get_objects", "gc.get_referrers"})


@registry.rule("BW420", "The environment read in a handler")
def environment(module: Module) -> Iterator[Fault]:
    """Point at settings that a handler takes from the environment."""
    message = "A handler that reads the environment has settings that nobody checks at boot. A missing one fails when the first client comes."
    mend = "Settings are the service's: a constant in the module, or what the declared upstream is configured with."
    seen: set[int] = set()
    for call in calls(module):
        if named(
            call,
            {
                "os.getenv",
                "os.getenvb",
                "os.putenv",
                "os.unsetenv",
                "dotenv.load_dotenv",
                "dotenv.dotenv_values",
                "decouple.config",
                "environs.Env",
                "environ.Env",
                "starlette.config.Config",
            },
        ) or any(name.startswith("os.environ.") for name in call.names):
            seen.add(call.node.lineno)
            yield Fault(call.node, message, mend)
    for node in module.walk(ast.Attribute, ast.Name):
        if (
            isinstance(node, ast.Attribute | ast.Name)
            and isinstance(node.ctx, ast.Load)
            and module.value(node).names & {"os.environ", "os.environb"}
            and node.lineno not in seen
        ):
            yield Fault(node, message, mend)
    for info in module.classes.values():
        if any(
            base in {"pydantic_settings.BaseSettings", "pydantic.BaseSettings"} for base in module.bases_of(info.name)
        ):
            yield Fault(info.node, message, mend)
