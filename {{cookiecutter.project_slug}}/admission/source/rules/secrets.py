"""BW302 to BW306: secrets in the source, weak hashes and randomness, comparisons that leak, checks switched off."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.effects import DECODERS
from admission.source.expressions import path_of
from admission.source.match import argument_node, calls, is_column, is_constant, method, name_of, named
from admission.source.tree import inside, is_inside
from admission.source.values import INPUT, NOTHING, PERSONAL, SECRET
from admission.source.words import sensitivity, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from admission.source.module import Call, Module

registry = Registry()

_KNOWN_KEYS: Final = re.compile(
    r"(sk|rk|pk)_(live|test)_[0-9A-Za-z]{8,}|AKIA[0-9A-Z]{12,}|gh[pousr]_[0-9A-Za-z]{16,}|github_pat_\w{20,}"
    r"|xox[abpr]-[0-9A-Za-z-]{8,}|AIza[0-9A-Za-z_-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY|eyJ[\w-]{8,}\.eyJ[\w-]{8,}"
    r"|SG\.[\w-]{16,}|glpat-[\w-]{16,}|whsec_[\w-]{8,}|sk-[A-Za-z0-9_-]{16,}|https?://hooks\.slack\.com/services/\w+"
    r"|AC[0-9a-f]{32}"
)
_URL_WITH_PASSWORD: Final = re.compile(r"^[a-z][a-z0-9+.-]*://[^/\s:@{}]*:[^/\s:@{}]+@", re.IGNORECASE)
_CREDENTIAL_HEADER: Final = re.compile(r"^(bearer|basic|token|apikey)\s+[\w.~+/=-]{6,}$", re.IGNORECASE)
_NO_SECRET: Final = re.compile(
    r"^(|none|null|true|false|(?i:bearer|basic|token|digest|apikey)|[A-Z][a-z]+|password|secret|string|changeme!?|.{0,5}"
    r"|https?://\S*|/\S*|\S*[{<%]\S*|[a-z]+([ _:-][a-z]+)*|[A-Z][A-Z_]+|X-[\w-]+|\^.*|.*\s.*\s.*)$"
)
"""What stands under a name of a secret and is none: a type, a header's name, an address, a sentence, a pattern."""

_FIELD_FUNCTIONS: Final = frozenset(
    {
        "pydantic.Field",
        "fastapi.Query",
        "fastapi.Header",
        "fastapi.Body",
        "fastapi.Path",
        "fastapi.Form",
        "fastapi.Cookie",
        "sqlalchemy.orm.mapped_column",
        "sqlalchemy.Column",
        "fastapi.security.APIKeyHeader",
    }
)
_MEND: Final = "Take it from the declared upstream's settings; if it has leaked into the repository, revoke it."


@registry.rule("BW302", "A secret in the source")
def hard_coded(module: Module) -> Iterator[Fault]:
    """Point at constants that are credentials, by their name or by their form."""
    message = "A credential stands in the source. Everybody who can read the repository has it, and it cannot be changed without a release."
    for node in module.walk(ast.Constant):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and not _is_docstring(module, node):
            said = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if _is_credential(module, node, said):
                yield Fault(node, message, _MEND)
    for composed in module.walk(ast.BinOp, ast.JoinedStr, ast.Call, ast.Subscript):
        text = _put_together(module, composed)
        outermost = _put_together(module, module.parents.get(composed)) is None
        if (
            text is not None
            and outermost
            and not _names_credential(module, composed)
            and _is_credential(module, composed, text)
        ):
            yield Fault(composed, message, _MEND)
    for call in calls(module):
        yield from (Fault(node, message, _MEND) for node in _keys(module, call))
    yield from (Fault(node, message, _MEND) for node in _unpacked(module))


def _unpacked(module: Module) -> Iterator[ast.AST]:
    """Yield names of secrets that are unpacked from constants: `user, password = LOGIN`."""
    for node in module.walk(ast.Assign):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            for part in target.elts if isinstance(target, ast.Tuple | ast.List) else ():
                said = module.value(part).constant
                if (
                    said is not None
                    and isinstance(said.value, str)
                    and SECRET in sensitivity(name_of(part))
                    and not _NO_SECRET.match(said.value[:2000])
                ):
                    yield part


def _keys(module: Module, call: Call) -> Iterator[ast.Constant]:
    """Yield constants that serve as a key, by whichever name they get to the call that signs or encrypts with it."""
    position = next((_KEY_POSITION[name] for name in sorted(call.names) if name in _KEY_POSITION), None)
    bound = call.args[0].names & _KEY_POSITION.keys() if named(call, {"functools.partial"}) and call.args else ()
    position = next((_KEY_POSITION[name] + 1 for name in sorted(bound)), position)
    node = argument_node(call, position, "key", "secret") if position is not None else None
    for constant in _constants_behind(module, node) if node is not None else ():
        said = constant.value.decode("latin-1") if isinstance(constant.value, bytes) else str(constant.value)
        if not _NO_SECRET.match(said[:2000]) and not _stands_in(module, constant):
            yield constant


def _constants_behind(module: Module, node: ast.expr, depth: int = 0) -> Iterator[ast.Constant]:
    """Yield the texts of the source that an expression may be: behind names, fields, members of an enumeration, `encode()`."""
    if isinstance(node, ast.Constant):
        yield from [node] if isinstance(node.value, str | bytes) else []
    elif depth < _STEPS:
        for piece in _pieces(module, node)[:_STEPS]:
            yield from _constants_behind(module, piece, depth + 1)


def _pieces(module: Module, node: ast.expr) -> list[ast.expr]:  # noqa: PLR0911 - one for each kind
    """Return the expressions of which an expression may be one, or an element of one, or another writing of one."""
    if isinstance(node, ast.Name):
        local = module.given.get((module.function_of(node), node.id))
        return local if local is not None else module.given.get((None, node.id), [])
    if isinstance(node, ast.Attribute):
        kinds = module.value(node.value).types | module.value(node.value).names
        return [
            given for kind in sorted(kinds & module.classes.keys()) for given in _class_values(module, kind, node.attr)
        ]
    if isinstance(node, ast.Subscript):
        return [node.value]
    if isinstance(node, ast.Dict | ast.BoolOp):
        return node.values
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    return _of_call(module, node) if isinstance(node, ast.Call) else []


def _of_call(module: Module, node: ast.Call) -> list[ast.expr]:
    names = module.value(node.func).names
    if names & _COLLECTING:
        return [*node.args, *(keyword.value for keyword in node.keywords)]
    if names & DECODERS.keys():
        return node.args[:1]
    return [node.func.value] if isinstance(node.func, ast.Attribute) and node.func.attr in _WRITING else []


_STEPS: Final = 8
_COLLECTING: Final = frozenset(
    f"builtins.{name}" for name in ("dict", "zip", "list", "tuple", "set", "frozenset", "iter", "next")
)
_WRITING: Final = frozenset({"encode", "decode", "strip", "get", "get_secret_value"})
"""Methods that hand the text of their object on."""


def _class_values(module: Module, kind: str, attribute: str) -> Iterator[ast.expr]:
    """Yield what a class itself gives an attribute; of an enumeration's `value` each of its members."""
    for base in module.bases_of(kind):
        info = module.classes.get(base)
        if info is None:
            continue
        if attribute == "value" and module.is_a(kind, "enum.Enum", "enum.StrEnum"):
            yield from info.assigned.values()
        declared = info.fields.get(attribute)
        yield from (
            given
            for given in (info.assigned.get(attribute), declared.value if declared is not None else None)
            if given is not None
        )


def _is_credential(module: Module, node: ast.AST, said: str) -> bool:
    if (
        _KNOWN_KEYS.search(said[:4000])
        or _URL_WITH_PASSWORD.match(said[:2000])
        or _CREDENTIAL_HEADER.match(said[:2000])
    ):
        return True
    return _named_secret(module, node) and not _NO_SECRET.match(said[:2000]) and not _stands_in(module, node)


def _stands_in(module: Module, node: ast.AST) -> bool:
    """Return whether a constant is taken for the key of a row that is not there, and who is not there is refused.

    `key = shop.key if shop is not None else "none"`, then `if shop is None or not compare_digest(...): raise`: the time
    that the answer takes tells nobody whether the shop exists.
    """
    child = node
    for parent in module.ancestors(node):
        if isinstance(parent, ast.IfExp):
            return child is not parent.test and _is_refused_if_missing(module, parent)
        if not isinstance(parent, ast.Attribute | ast.Call):
            return False
        child = parent
    return False


def _is_refused_if_missing(module: Module, choice: ast.IfExp) -> bool:
    """Return whether what a choice asks for is asked for again behind it, and refused where it is missing."""
    asked = {part.id for part in inside(choice.test) if isinstance(part, ast.Name)}
    for part in inside(module.function_of(choice) or module.tree):
        if (
            isinstance(part, ast.If)
            and part.lineno > choice.lineno
            and any(isinstance(step, ast.Raise) for step in part.body)
        ):
            ways = (
                part.test.values
                if isinstance(part.test, ast.BoolOp) and isinstance(part.test.op, ast.Or)
                else [part.test]
            )
            if any(_is_missing(way) in asked for way in ways):
                return True
    return False


def _is_missing(test: ast.expr) -> str | None:
    """Return of what a test asks whether it is missing: `shop is None`, `not shop`."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and isinstance(test.operand, ast.Name):
        return test.operand.id
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is) and isinstance(test.left, ast.Name):
        return (
            test.left.id
            if isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value is None
            else None
        )
    return None


def _names_credential(module: Module, node: ast.AST) -> bool:
    """Return whether a part is a name of a whole credential: that one is named where it stands."""
    said = [module.value(part).constant for part in inside(node) if isinstance(part, ast.Name | ast.Attribute)]
    return any(
        each is not None and isinstance(each.value, str) and _KNOWN_KEYS.search(each.value[:4000]) for each in said
    )


def _put_together(module: Module, node: ast.AST | None) -> str | None:
    """Return the text that an expression makes of constants alone: a sum, an f-string, a `join`, a slice, a decoding."""
    joins = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join"
    decodes = isinstance(node, ast.Call) and bool(module.value(node.func).names & DECODERS.keys())
    if not joins and not decodes and not isinstance(node, ast.BinOp | ast.JoinedStr | ast.Subscript):
        return None
    said = module.value(node).constant
    if said is None or not isinstance(said.value, str | bytes):
        return None
    return said.value.decode("latin-1") if isinstance(said.value, bytes) else said.value


def _is_docstring(module: Module, node: ast.Constant) -> bool:
    return isinstance(module.parents.get(node), ast.Expr)


def _named_secret(module: Module, node: ast.AST) -> bool:
    """Return whether a constant is given to a name that holds secrets."""
    child: ast.AST = node
    for parent in module.ancestors(node):
        if _hands_on(module, parent, child):
            child = parent
            continue
        judge = _GIVEN.get(type(parent))
        return judge is not None and judge(module, parent, child)
    return False


def _hands_on(module: Module, parent: ast.AST, child: ast.AST) -> bool:
    """Return whether an expression has the value of a part of it: `"secret".encode()`, `given or "secret"`."""
    if isinstance(parent, ast.Call):
        return child is parent.func and not module.value(child).functions
    return isinstance(parent, ast.Attribute | ast.BoolOp | ast.IfExp | ast.Tuple | ast.List | ast.Set)


def _is_assigned(_module: Module, parent: ast.AST, child: ast.AST) -> bool:
    targets = parent.targets if isinstance(parent, ast.Assign) else [getattr(parent, "target", None)]
    return getattr(parent, "value", None) is child and any(
        isinstance(target, ast.expr) and SECRET in sensitivity(name_of(target)) for target in targets
    )


def _is_keyword(module: Module, parent: ast.AST, _child: ast.AST) -> bool:
    owner = module.parents.get(parent)
    name = parent.arg if isinstance(parent, ast.keyword) else None
    return (
        name is not None
        and SECRET in sensitivity(name)
        and not (isinstance(owner, ast.Call) and _is_field(module, owner))
    )


def _is_keyed(module: Module, parent: ast.AST, child: ast.AST) -> bool:
    key = module.keys.get(child)
    return (
        isinstance(key, ast.Constant)
        and isinstance(key.value, str)
        and SECRET in sensitivity(key.value)
        and not _in_examples(module, parent)
    )


def _is_compared(module: Module, parent: ast.AST, child: ast.AST) -> bool:
    sides = (parent.left, *parent.comparators) if isinstance(parent, ast.Compare) else ()
    return any(SECRET in module.value(side).labels for side in sides if side is not child)


def _is_argument(module: Module, parent: ast.AST, child: ast.AST) -> bool:
    """A key at its place in a signature, or what stands in for a secret of the environment."""
    if not isinstance(parent, ast.Call):
        return False
    position = next((index for index, argument in enumerate(parent.args) if argument is child), -1)
    names = module.value(parent.func).names
    if names & {"os.getenv", "os.environ.get"}:
        asked = module.value(parent.args[0]).constant
        return position == 1 and asked is not None and SECRET in sensitivity(str(asked.value))
    return any(_KEY_POSITION.get(name) == position for name in names)


_KEY_POSITION: Final = {
    "hmac.new": 0,
    "hmac.digest": 0,
    "jwt.encode": 1,
    "jwt.decode": 1,
    "pydantic.SecretStr": 0,
    "joserfc.jwk.OctKey.import_key": 0,
    "cryptography.fernet.Fernet": 0,
    "cryptography.hazmat.primitives.ciphers.aead.AESGCM": 0,
    "cryptography.hazmat.primitives.ciphers.aead.ChaCha20Poly1305": 0,
    "itsdangerous.URLSafeTimedSerializer": 0,
}


def _is_default(_module: Module, arguments: ast.AST, child: ast.AST) -> bool:
    if not isinstance(arguments, ast.arguments):
        return False
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return any(default is child and SECRET in sensitivity(argument.arg) for argument, default in pairs)


_GIVEN: Final[dict[type[ast.AST], Callable[[Module, ast.AST, ast.AST], bool]]] = {
    ast.Assign: _is_assigned,
    ast.AnnAssign: _is_assigned,
    ast.keyword: _is_keyword,
    ast.Dict: _is_keyed,
    ast.Compare: _is_compared,
    ast.arguments: _is_default,
    ast.Call: _is_argument,
}
"""How a constant gets its name, by what stands round it."""


def _is_field(module: Module, call: ast.Call) -> bool:
    return (
        bool(module.value(call.func).names & _FIELD_FUNCTIONS) or (module.resolve(call.func) or "") in _FIELD_FUNCTIONS
    )


def _in_examples(module: Module, node: ast.AST) -> bool:
    return any(
        isinstance(parent, ast.keyword)
        and (parent.arg or "").startswith(("example", "json_schema", "responses", "openapi"))
        for parent in module.ancestors(node)
    )


SHORTEST: Final = 6
"""Characters. A shorter constant is the name of a kind, and no secret that anybody uses."""

_PLAIN: Final = frozenset({"type", "kind", "scheme", "method", "status", "algorithm", "grant"})


@registry.rule("BW305", "A secret compared with ==")
def compared(module: Module) -> Iterator[Fault]:
    """Point at comparisons whose time tells how much of a secret was right."""
    for node, sides in (*_written_comparisons(module), *_called_comparisons(module), *_matched(module)):
        if any(_is_trivial(module, side) or is_column(module, side) for side in sides):
            continue
        if all(INPUT in module.value(side).labels for side in sides):
            continue  # a password and its repetition: the client compares with itself
        if any(_is_secret(module, side) for side in sides):
            yield Fault(
                node,
                "`==` stops at the first difference. How long it takes tells how much was right, and a secret can be guessed byte by byte.",
                "`hmac.compare_digest(given.encode(), expected.encode())`.",
            )


def _written_comparisons(module: Module) -> Iterator[tuple[ast.AST, tuple[ast.expr, ...]]]:
    """Yield each comparison that is written with an operator, and its sides."""
    for node in module.walk(ast.Compare):
        if not isinstance(node, ast.Compare) or len(node.ops) != 1:
            continue
        if isinstance(node.ops[0], ast.In | ast.NotIn):
            # `given in (key, old_key)` compares with each in turn.
            among = node.comparators[0]
            shown = [
                among,
                *(module.given.get((module.function_of(among), among.id), []) if isinstance(among, ast.Name) else []),
            ]
            yield from (
                (node, (node.left, *each.elts)) for each in shown if isinstance(each, ast.Tuple | ast.List | ast.Set)
            )
        elif isinstance(node.ops[0], ast.Eq | ast.NotEq):
            yield node, (node.left, node.comparators[0])


def _called_comparisons(module: Module) -> Iterator[tuple[ast.AST, tuple[ast.expr, ...]]]:
    """Yield `operator.eq(a, b)` and `a.__eq__(b)`."""
    for call in calls(module):
        arguments = tuple(call.node.args)
        if (
            named(call, {"operator.eq", "operator.ne", "builtins.str.__eq__", "builtins.bytes.__eq__"})
            and len(arguments) > 1
        ):
            yield call.node, arguments[:2]
        elif (
            isinstance(call.node.func, ast.Attribute)
            and call.node.func.attr in {"__eq__", "__ne__"}
            and len(arguments) == 1
        ):
            yield call.node, (call.node.func.value, *arguments)


def _matched(module: Module) -> Iterator[tuple[ast.AST, tuple[ast.expr, ...]]]:
    """Yield what `match` compares with: `case device.secret:`, and each of `match (given, kind): case (device.secret, _):`."""
    for match in module.walk(ast.Match):
        if isinstance(match, ast.Match):
            waiting = [(case.pattern, match.subject) for case in match.cases]
            while waiting:
                pattern, subject = waiting.pop()
                if isinstance(pattern, ast.MatchValue):
                    yield pattern, (subject, pattern.value)
                elif isinstance(pattern, ast.MatchOr):
                    waiting += [(part, subject) for part in pattern.patterns]
                elif isinstance(pattern, ast.MatchAs) and pattern.pattern is not None:
                    waiting.append((pattern.pattern, subject))
                elif (
                    isinstance(pattern, ast.MatchSequence)
                    and isinstance(subject, ast.Tuple | ast.List)
                    and len(pattern.patterns) == len(subject.elts)
                ):
                    waiting += list(zip(pattern.patterns, subject.elts, strict=True))


def _is_trivial(module: Module, node: ast.expr) -> bool:
    """Return whether one side is no secret for certain: a kind, a short constant, a count, a test."""
    value = module.value(node)
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, str | bytes) or len(node.value) < SHORTEST:
            return True
        return isinstance(node.value, str) and re.fullmatch(r"[A-Za-z]+", node.value) is not None
    if isinstance(node, ast.Call) and module.value(node.func).names & _COUNTING:
        return True
    return bool(value.types & {"builtins.int", "builtins.bool", "builtins.NoneType"}) and value.constant is None


_COUNTING: Final = frozenset({"builtins.len", "builtins.type", "builtins.bool"})


def _is_secret(module: Module, node: ast.expr) -> bool:  # noqa: PLR0911 - one for each kind
    value = module.value(node)
    said = node
    while (
        isinstance(said, ast.Call)
        and isinstance(said.func, ast.Attribute)
        and said.func.attr
        in {
            "strip",
            "lower",
            "encode",
            "decode",
            "hexdigest",
            "digest",
            "get_secret_value",
            "get",
            "removeprefix",
            "upper",
        }
    ):
        if said.func.attr in {"hexdigest", "digest"} and _is_signature(module, said):
            return True
        if said.func.attr == "get" and said.args and isinstance(said.args[0], ast.Constant):
            return SECRET in sensitivity(str(said.args[0].value)) or "signature" in words(str(said.args[0].value))
        said = said.func.value
    name = name_of(said)
    kinds = words(name)
    if kinds and kinds[-1] in _PLAIN:
        return False
    if {"signature", "hmac", "digest", "mac"} & set(kinds) or (
        kinds[-1:] == ("hash",)
        and len(kinds) > 1
        and set(kinds) & {"password", "token", "key", "secret", "pin", "code", "api"}
    ):
        return True
    if kinds == ("expected",) or SECRET in sensitivity(name):
        return SECRET in (value.labels | sensitivity(name)) and PERSONAL not in value.labels
    if SECRET in value.labels and PERSONAL not in value.labels and not isinstance(node, ast.Constant):
        return True
    return bool(value.names & {"hmac.digest()"}) or bool(
        value.types & {"hmac.digest()", "hmac.new().hexdigest()", "hmac.new().digest()"}
    )


def _is_signature(module: Module, node: ast.Call) -> bool:
    base = module.value(node.func.value if isinstance(node.func, ast.Attribute) else node)
    return bool(base.types & {"hmac.new()", "hmac.HMAC"})


@registry.rule("BW306", "A check switched off")
def switched_off(module: Module) -> Iterator[Fault]:
    """Point at certificates, signatures and host keys that are not checked."""
    tls = "Certificates are not checked: whoever stands between reads and changes everything."
    mend = (
        "Leave the default, or name your authority: `ssl.create_default_context(cafile=...)` in the declared upstream."
    )
    for call in calls(module):
        yield from _unsigned(module, call)
        skipped = (
            _skipped_without(module, call) if named(call, {"hmac.compare_digest", "secrets.compare_digest"}) else None
        )
        if skipped is not None:
            yield Fault(
                skipped,
                "Only what comes with a signature is checked. Whoever leaves it out gets in.",
                "Ask for it: no default, and no `if` round the check; `if not hmac.compare_digest(expected, signature): raise HTTPException(401, ...)`.",
            )
        for name in _CHECKS if not any(kind.startswith(_NO_PEER) for kind in call.names) else ():
            if is_constant(call.keywords.get(name), False):
                yield Fault(argument_node(call, None, name) or call.node, tls, mend)
        given = {name for value in (*call.keywords.values(), *call.args) for name in value.names}
        if named(call, _UNCHECKED) or given & _UNCHECKED or _sets_unchecked(call):
            yield Fault(call.node, tls, mend)
    yield from (Fault(node, tls, mend) for node in _kept_unchecked(module))


def _skipped_without(module: Module, call: Call) -> ast.AST | None:
    """Return the test that lets a request pass unchecked which leaves out what would be compared.

    `if signature and not compare_digest(expected, signature): raise`, and the same as one `if` in another.
    """
    given = {
        path_of(part)
        for argument in call.node.args
        for part in inside(argument)
        if isinstance(part, ast.Name | ast.Attribute) and INPUT in module.value(part).labels
    } - {None}
    checks = False
    for parent in module.ancestors(call.node):
        if not isinstance(parent, ast.If):
            if isinstance(parent, ast.stmt) and not isinstance(parent, ast.With | ast.Try):
                return None
            continue
        ways = (
            parent.test.values
            if isinstance(parent.test, ast.BoolOp) and isinstance(parent.test.op, ast.And)
            else [parent.test]
        )
        here = is_inside(call.node, parent.test)
        checks = checks or (here and any(isinstance(step, ast.Raise) for step in parent.body))
        if (
            checks
            and not parent.orelse
            and (len(ways) > 1 or not here)
            and any(_is_there(way) in given and not _is_asked_for(module, parent, _is_there(way)) for way in ways)
        ):
            return parent.test if parent.test.lineno != call.node.lineno else call.node
        if here and not checks:
            return None
    return None


def _is_asked_for(module: Module, check: ast.If, name: str | None) -> bool:
    """Return whether what leaves a name out was refused before: `if not signature: raise`."""
    earlier = [
        part
        for part in inside(module.function_of(check) or module.tree)
        if isinstance(part, ast.If)
        and part.lineno < check.lineno
        and any(isinstance(step, ast.Raise) for step in part.body)
    ]
    return any(
        _is_missing(way) == name
        for part in earlier
        for way in (
            part.test.values if isinstance(part.test, ast.BoolOp) and isinstance(part.test.op, ast.Or) else [part.test]
        )
    )


def _is_there(test: ast.expr) -> str | None:
    """Return of what a test asks whether it is there: `signature`, `signature is not None`."""
    if (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.IsNot)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value is None
    ):
        return path_of(test.left)
    return path_of(test) if isinstance(test, ast.Name | ast.Attribute) else None


def _kept_unchecked(module: Module) -> Iterator[ast.AST]:
    """Yield where a check that is switched off is set or kept: an attribute, a dictionary, a mention of `CERT_NONE`."""
    for node in module.walk(ast.Assign):
        value = module.value(node.value) if isinstance(node, ast.Assign) else NOTHING
        targets = [part for target in getattr(node, "targets", []) for part in inside(target)]
        names = {target.attr for target in targets if isinstance(target, ast.Attribute)}
        parts = [value, *(part for _, part in value.fields)]
        if any(part.names & _UNCHECKED or (is_constant(part, False) and names & _CHECKS) for part in parts):
            yield node
    for value_node, key in module.keys.items():
        said = module.value(key).constant
        if said is not None and said.value in _OF_CONTEXTS and is_constant(module.value(value_node), False):
            yield value_node
    for mention in module.walk(ast.Attribute, ast.Name):
        # Wherever it is kept in the meantime, nobody mentions it for anything but to use it; to refuse it, say.
        if (
            isinstance(mention, ast.Attribute | ast.Name)
            and module.resolve(mention) in _UNCHECKED
            and not isinstance(module.parents.get(mention), ast.Compare)
        ):
            yield mention


_OF_CONTEXTS: Final = frozenset({"check_hostname", "verify_ssl", "ssl_verify"})
"""Keys of a dictionary that mean nothing else."""


def _sets_unchecked(call: Call) -> bool:
    """`setattr(context, "check_hostname", False)`, its name and value out of whatever is spread."""
    if not named(call, {"builtins.setattr"}) or len(call.args) != 3:
        return False
    said = call.args[1].constant
    return said is not None and said.value in _CHECKS and is_constant(call.args[2], False)


_CHECKS: Final = frozenset(
    {
        "verify",
        "ssl",
        "verify_ssl",
        "check_hostname",
        "tls_verify",
        "validate_certs",
        "ssl_verify",
        "cert_verify",
        "check_certificate",
    }
)
_UNCHECKED: Final = frozenset(
    {
        "ssl.CERT_NONE",
        "ssl._create_unverified_context",
        "ssl._create_stdlib_context",
        "paramiko.AutoAddPolicy",
        "paramiko.WarningPolicy",
    }
)
_NO_PEER: Final = ("pydantic.", "sqlalchemy.", "jwt.")


def _switched_off(module: Module, option: str) -> Iterator[ast.expr]:
    """Yield where an option is switched off in a dictionary: `{"verify_exp": False}`, `dict(verify_exp=False)`, `options["verify_exp"] = False`."""
    for node in module.walk(ast.Dict, ast.Call, ast.Assign):
        if isinstance(node, ast.Dict):
            pairs = [
                (key, value)
                for key, value in zip(node.keys, node.values, strict=True)
                if key is not None and is_constant(module.value(key), option)
            ]
        elif isinstance(node, ast.Call):
            pairs = [(keyword.value, keyword.value) for keyword in node.keywords if keyword.arg == option]
        elif isinstance(node, ast.Assign):
            pairs = [
                (target, node.value)
                for target in node.targets
                if isinstance(target, ast.Subscript) and is_constant(module.value(target.slice), option)
            ]
        else:
            continue
        yield from (place for place, value in pairs if is_constant(module.value(value), False))


def _unsigned(module: Module, call: Call) -> Iterator[Fault]:
    message = "The token's signature is not checked: everybody can write one."
    mend = "Ask for the verified caller: `caller: Caller` from `app.dependencies`."
    if method(call) not in {"decode", "decode_complete", "get_unverified_claims", "get_unverified_header"} and not any(
        name.startswith("jwt.") for name in call.names
    ):
        return
    if any(name.rpartition(".")[2] in {"get_unverified_claims", "get_unverified_header"} for name in call.names):
        yield Fault(call.node, message, mend)
        return
    options = call.keywords.get("options")
    for name in ("verify_signature", "verify_exp", "verify_nbf", "verify_aud", "verify_iss"):
        said = options.field(name) if options is not None else None
        if is_constant(said, False):
            told = (
                message
                if name == "verify_signature"
                else "A claim of the token is not checked: an expired or foreign token is taken."
            )
            yield Fault(call.node, told, mend)
            for key in _switched_off(module, name):
                yield Fault(key, told, mend)
            return
    algorithms = call.keywords.get("algorithms")
    if is_constant(call.keywords.get("verify"), False) or (
        algorithms is not None
        and algorithms.items is not None
        and any(is_constant(value, "none", "None") for _, value in algorithms.fields)
    ):
        yield Fault(call.node, message, mend)
