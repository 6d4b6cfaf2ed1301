"""BW301: secrets and personal data in logs."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.match import calls, method, named, names_in, origins
from admission.source.tree import inside
from admission.source.values import BODY, INPUT, PERSONAL, SECRET, WHOLE
from admission.source.words import sensitivity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module
    from admission.source.values import Value

registry = Registry()

_LEVELS: Final = frozenset(
    [
        "debug",
        "info",
        "warning",
        "warn",
        "error",
        "exception",
        "critical",
        "fatal",
        "log",
        "msg",
        "trace",
        "success",
        "adebug",
        "ainfo",
        "awarning",
        "aerror",
        "aexception",
        "acritical",
    ]
)
_LOGGERS: Final = re.compile(r"(^|_|\.)(log|logger|logging|audit|audit_log|structlog|loguru)$", re.IGNORECASE)
_ALWAYS: Final = frozenset(
    {
        "builtins.print",
        "sys.stdout.write",
        "sys.stderr.write",
        "warnings.warn",
        "pprint.pprint",
        "pprint.pp",
        "syslog.syslog",
        "traceback.print_exception",
        "structlog.contextvars.bind_contextvars",
        "structlog.contextvars.bound_contextvars",
        "rich.print",
        "icecream.ic",
        "logging.makeLogRecord",
    }
)
_SPANS: Final = frozenset(
    {
        "set_attribute",
        "set_attributes",
        "add_event",
        "capture_message",
        "set_extra",
        "set_tag",
        "set_context",
        "set_user",
        "record_exception",
    }
)
_BINDING: Final = frozenset({"bind", "new", "opt", "contextualize", "bind_contextvars"})


@registry.rule("BW301", "A secret or personal data in a log")
def leaked(module: Module) -> Iterator[Fault]:
    """Point at log lines, prints and span attributes that hold what must not be there."""
    hashed = _kept_as_hashes(module)
    for call in calls(module):
        if not _notes(call):
            continue
        told = set()
        for node in _arguments(call.node):
            told |= _kinds(module, module.value(node)) | _formatted(module, node)
            if any(_is_hashed(module, part, hashed, call.node) for part in inside(node)):
                told.add(SECRET)
        for keyword in call.node.keywords:
            if (
                keyword.arg is not None
                and sensitivity(keyword.arg)
                and module.value(keyword.value).constant is None
                and not _is_harmless(module, keyword.value)
            ):
                told |= sensitivity(keyword.arg)
        if not told:
            continue
        what = "a secret" if SECRET in told else "the whole request" if BODY in told else "personal data"
        yield Fault(
            call.node,
            f"This writes {what} where logs go. Logs are kept, copied and read by many who must never see it.",
            'Log an id instead: `logger.info("order placed", extra={"order_id": str(order.id)})`.',
        )


def _kept_as_hashes(module: Module) -> set[str]:
    """Return the names of what clients send whose hash is looked up, or stored, as that of a secret: `Device.token_hash == digest`."""
    sides: list[ast.expr] = []
    for node in module.walk(ast.Compare, ast.keyword):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
            pair = (node.left, node.comparators[0])
            sides += [
                other
                for one, other in (pair, pair[::-1])
                if isinstance(one, ast.Attribute) and _HASH_OF_SECRET.search(one.attr)
            ]
        elif isinstance(node, ast.keyword) and node.arg and _HASH_OF_SECRET.search(node.arg):
            sides.append(node.value)
    found: set[str] = set()
    for side in sides:
        for origin in origins(module, side):
            for call in (
                part
                for part in inside(origin)
                if isinstance(part, ast.Call)
                and any(name.startswith("hashlib.") for name in module.value(part.func).names)
            ):
                found |= {name for argument in call.args for name in names_in(argument) if name not in _KEEPING}
    return found


_HASH_OF_SECRET: Final = re.compile(
    r"(^|_)(token|key|code|secret|pin|password|passcode|otp|credential)s?_(hash|digest)$"
)
_KEEPING: Final = frozenset({"encode", "strip", "lower", "upper", "get_secret_value"})


def _is_hashed(module: Module, node: ast.AST, hashed: set[str], log: ast.Call) -> bool:
    """Return whether an expression writes out the client's text whose hash is kept in its place."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    if name not in hashed or INPUT not in module.value(node).labels:
        return False
    for parent in module.ancestors(node):
        if parent is log:
            return True
        if isinstance(parent, ast.Compare) or (
            isinstance(parent, ast.Call) and not module.value(parent.func).names & {"builtins.str", "builtins.repr"}
        ):
            return False  # a length, a hash, a test of it
    return False


def _notes(call: Call) -> bool:
    if named(call, _ALWAYS):
        return True
    if call.functions:
        return False
    verb = method(call)
    if verb in _LEVELS or verb in _BINDING:
        if any(name.startswith(("logging.", "structlog.", "loguru.")) for name in call.names):
            return True
        return isinstance(call.node.func, ast.Attribute) and bool(
            _LOGGERS.search(ast.unparse(call.node.func.value).removesuffix("()"))
        )
    if verb in _SPANS:
        return True
    return any(name.startswith("logging.") and name.rpartition(".")[2] in _LEVELS for name in call.names)


def _arguments(node: ast.Call) -> Iterator[ast.expr]:
    for argument in node.args:
        yield argument.value if isinstance(argument, ast.Starred) else argument
    for keyword in node.keywords:
        yield keyword.value


def _kinds(module: Module, value: Value) -> set[str]:
    """Return which kinds of secrets a value shows when it is written out."""
    told = set(value.all_labels() & {SECRET, PERSONAL, BODY})
    if WHOLE in value.all_labels():
        told.add(BODY)
    if INPUT in value.labels and any(kind in module.classes and module.is_model(kind) for kind in value.types):
        told.add(BODY)
    for kind in value.types:
        for base in module.bases_of(kind):
            info = module.classes.get(base)
            if info is not None and module.is_model(base):
                for field, declared in info.fields.items():
                    if not module.annotation(declared.annotation).types & {
                        "pydantic.SecretStr",
                        "pydantic.SecretBytes",
                    }:
                        told |= sensitivity(field)
    for part in (value.items, *(field for _, field in value.fields)):
        if part is not None:
            told |= _kinds(module, part)
    return told


def _formatted(module: Module, node: ast.AST) -> set[str]:
    """Return the kinds in the parts of a formatted text: a model in an f-string is written out whole."""
    told: set[str] = set()
    if isinstance(node, ast.JoinedStr | ast.BinOp | ast.Call | ast.Dict | ast.Tuple | ast.List):
        for part in inside(node):
            if isinstance(part, ast.FormattedValue):
                told |= _kinds(module, module.value(part.value))
            elif isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mod):
                told |= _kinds(module, module.value(part.right))
            elif (
                isinstance(part, ast.Call)
                and isinstance(part.func, ast.Attribute)
                and part.func.attr in {"format", "join"}
            ):
                for argument in part.args:
                    told |= _kinds(module, module.value(argument))
            elif isinstance(part, ast.Dict):
                for key, element in zip(part.keys, part.values, strict=True):
                    if (
                        isinstance(key, ast.Constant)
                        and isinstance(key.value, str)
                        and module.value(element).constant is None
                        and not _is_harmless(module, element)
                    ):
                        told |= sensitivity(key.value)
    return told


def _is_harmless(module: Module, node: ast.expr) -> bool:
    """A test or a count of a secret, or a mask in its place, is none."""
    value = module.value(node)
    if isinstance(node, ast.Compare | ast.UnaryOp) or value.types & {"builtins.bool", "builtins.int"}:
        return True
    if isinstance(node, ast.Call):
        said = method_name(node).lower()
        return any(
            word in said
            for word in (
                "mask",
                "redact",
                "hash",
                "len",
                "bool",
                "hexdigest",
                "obfus",
                "anonym",
                "digest",
                "pseudonym",
                "fingerprint",
            )
        )
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        return not value.all_labels() & {SECRET, PERSONAL}
    return False


def method_name(node: ast.Call) -> str:
    """Return the last part of what a call calls."""
    return (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )
