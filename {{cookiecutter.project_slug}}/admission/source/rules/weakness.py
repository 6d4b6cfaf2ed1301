"""BW303, BW304: hashes that are broken or too fast, and randomness that can be guessed."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.expressions import path_of
from admission.source.match import calls, is_constant, name_of, named
from admission.source.module import is_function
from admission.source.rules.sizes import pieces_of
from admission.source.tree import inside
from admission.source.values import INPUT, PASSWORD, SHAPED
from admission.source.words import needs_secrecy, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

_WEAK: Final = frozenset(
    {
        "hashlib.md5",
        "hashlib.sha1",
        "hashlib.md4",
        "Crypto.Hash.MD5.new",
        "Crypto.Hash.SHA1.new",
        "cryptography.hazmat.primitives.hashes.MD5",
        "cryptography.hazmat.primitives.hashes.SHA1",
        "passlib.hash.md5_crypt",
        "passlib.hash.sha1_crypt",
        "passlib.hash.des_crypt",
        "crypt.crypt",
        "Crypto.Cipher.DES.new",
        "Crypto.Cipher.ARC4.new",
        "Crypto.Cipher.DES3.new",
        "Crypto.Cipher.Blowfish.new",
        "cryptography.hazmat.primitives.ciphers.algorithms.ARC4",
        "cryptography.hazmat.primitives.ciphers.algorithms.TripleDES",
        "cryptography.hazmat.primitives.ciphers.algorithms.Blowfish",
        "cryptography.hazmat.primitives.ciphers.modes.ECB",
        "Crypto.Cipher.AES.MODE_ECB",
        "passlib.hash.plaintext",
        "passlib.hash.hex_md5",
        "passlib.hash.hex_sha1",
    }
)
_FAST: Final = (
    frozenset(
        f"hashlib.{name}"
        for name in (
            "sha224",
            "sha256",
            "sha384",
            "sha512",
            "sha3_256",
            "sha3_512",
            "blake2b",
            "blake2s",
            "new",
            "sha3_224",
            "sha3_384",
        )
    )
    | _WEAK
)


@registry.rule("BW303", "A weak hash or cipher")
def weak_hash(module: Module) -> Iterator[Fault]:
    """Point at broken hashes and ciphers, and at passwords in hashes that are fast."""
    for call in calls(module):
        name = _weak(call)
        if name is not None and not is_constant(call.argument(None, "usedforsecurity"), False):
            yield Fault(
                call.node,
                f"`{name.rpartition('.')[2]}` is broken: two different contents with the same result can be made.",
                '`hashlib.sha256(data)`; where it only names content: `hashlib.md5(data, usedforsecurity=False)`; to sign, `hmac.digest(key, data, "sha256")`.',
            )
        elif named(call, _FAST) and _is_password(module, call):
            yield Fault(
                call.node,
                "A password goes into a hash that is made to be fast. Whoever gets the table tries billions a second.",
                "Leave passwords to the identity provider; this service only checks tokens. If it has to be: `await asyncio.to_thread(hasher.hash, password)` with argon2.",
            )
    for node in _proofs_of_nothing(module):
        yield Fault(
            node,
            "This hash has no key: whoever knows what goes in, and that is who sends it, makes the same proof.",
            '`hmac.digest(key, data, "sha256")`, with a key of the row or of the settings; or a random token that is kept, `secrets.token_urlsafe(32)`.',
        )
    for attribute in module.walk(ast.Attribute):
        if isinstance(attribute, ast.Attribute) and attribute.attr == "MODE_ECB":
            yield Fault(
                attribute,
                "ECB encrypts equal blocks to equal blocks: the pattern stays visible.",
                "`AESGCM(key).encrypt(nonce, data, None)`.",
            )
    for node in module.walk(ast.keyword):
        if (
            isinstance(node, ast.keyword)
            and node.arg in {"digestmod", "hash_name", "digest"}
            and is_constant(module.value(node.value), "md5", "sha1")
        ):
            yield Fault(
                node.value,
                "This hash is broken: two different contents with the same result can be made.",
                '`"sha256"`.',
            )


def _weak(call: Call) -> str | None:
    name = named(call, _WEAK)
    if name is not None:
        return name
    if named(call, {"hashlib.new", "hmac.new", "hmac.digest", "hashlib.pbkdf2_hmac", "hashlib.file_digest"}):
        position = {"hashlib.new": 0, "hashlib.pbkdf2_hmac": 0, "hashlib.file_digest": 1}.get(min(call.names), 2)
        value = call.argument(position, "name", "digestmod", "digest")
        if (
            value is not None
            and value.constant is not None
            and str(value.constant.value).lower() in {"md5", "sha1", "md4", "sha"}
        ):
            return f"hashlib.{value.constant.value!s}"
        if value is not None and value.names & {"hashlib.md5", "hashlib.sha1"}:
            return min(value.names & {"hashlib.md5", "hashlib.sha1"})
    return None


def _is_password(module: Module, call: Call) -> bool:
    """Return whether a password goes into a hash, at once or by a later `update`."""
    fed = list(call.node.args)
    statement = module.statement_of(call.node)
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        name = statement.targets[0].id
        for other in inside(module.function_of(call.node) or module.tree):
            if isinstance(other, ast.Call) and path_of(other.func) == f"{name}.update":
                fed += other.args
    return any(
        PASSWORD in module.value(node).all_labels() or any(_is_code(module, part) for part in inside(node))
        for node in fed
    )


def _is_code(module: Module, node: ast.AST) -> bool:
    """Return whether an expression is digits that a person chose, as the client sent them: `wanted.pin`."""
    return words(name_of(node))[-1:] in {("pin",), ("passcode",)} and bool(
        module.value(node).all_labels() & {INPUT, SHAPED}
    )


def _proofs_of_nothing(module: Module) -> Iterator[ast.AST]:
    """Yield where a hash without a key, of nothing but what the client sent, is made to be compared with what the client sent."""
    for call in calls(module):
        if not named(call, {"hmac.compare_digest", "secrets.compare_digest"}) or len(call.node.args) != 2:
            continue
        if not all(module.value(side).all_labels() & {INPUT, SHAPED} for side in call.node.args):
            continue
        hashes = [
            part
            for side in call.node.args
            for piece in pieces_of(module, side)
            for part in inside(piece)
            if isinstance(part, ast.Call) and module.value(part.func).names & _FAST
        ]
        if hashes and _keeps_out(module, call) and all(_holds_input_only(module, made) for made in hashes):
            yield call.node
            yield from hashes


def _keeps_out(module: Module, call: Call) -> bool:
    """Return whether a comparison decides who is let in; a checksum of what came tells only whether it came whole."""
    guard = next((parent for parent in module.ancestors(call.node) if isinstance(parent, ast.If)), None)
    raised = (
        [
            part.args[0]
            for part in inside(guard)
            if isinstance(part, ast.Call) and "fastapi.HTTPException" in module.value(part.func).names and part.args
        ]
        if guard is not None
        else []
    )
    return guard is None or any(
        is_constant(module.value(status), 401, 403, 404)
        or any(name.endswith(("401_UNAUTHORIZED", "403_FORBIDDEN")) for name in module.value(status).names)
        for status in raised
    )


def _holds_input_only(module: Module, made: ast.Call) -> bool:
    """Return whether a hash is of what the client sent and of constants, and of nothing else that a key might be."""
    if any(keyword.arg == "key" for keyword in made.keywords):
        return False
    leaves = [
        part
        for argument in made.args
        for part in inside(argument)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
    ]
    return bool(leaves) and all(
        module.value(leaf).labels & {INPUT, SHAPED} or module.value(leaf).constant is not None for leaf in leaves
    )


ALPHABET: Final = 10
"""Characters. A text at least this long that is drawn from is an alphabet: the ten digits are the shortest."""

_ALPHABETS: Final = frozenset(
    {
        "string.ascii_letters",
        "string.digits",
        "string.ascii_uppercase",
        "string.ascii_lowercase",
        "string.hexdigits",
        "string.printable",
        "string.punctuation",
    }
)


@registry.rule("BW304", "Randomness that can be guessed")
def weak_random(module: Module) -> Iterator[Fault]:
    """Point at `random` where the result must not be guessed."""
    for call in calls(module):
        name = next(
            (
                name
                for name in sorted(call.names)
                if name.startswith(("random.", "numpy.random.")) or name in {"uuid.uuid1", "uuid.getnode"}
            ),
            None,
        )
        if name is None or name.rpartition(".")[2] in {"seed", "Random", "shuffle"}:
            continue
        if _must_be_secret(module, call):
            yield Fault(
                call.node,
                f"`{name}` can be computed from a few of its earlier results. What it makes here must not be guessed.",
                '`secrets.token_urlsafe(32)`; for digits `"".join(secrets.choice(string.digits) for _ in range(6))`; to draw, `secrets.choice(...)`.',
            )


def _must_be_secret(module: Module, call: Call) -> bool:
    child: ast.AST = call.node
    for parent in module.ancestors(call.node):
        if isinstance(parent, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            if any(needs_secrecy(name_of(target)) for target in targets):
                return True
        if isinstance(parent, ast.keyword) and parent.arg and needs_secrecy(parent.arg):
            return True
        if isinstance(parent, ast.Dict):
            key = module.keys.get(child)
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and needs_secrecy(key.value):
                return True
        if (
            isinstance(parent, ast.Call)
            and needs_secrecy(
                parent.func.attr
                if isinstance(parent.func, ast.Attribute)
                else parent.func.id
                if isinstance(parent.func, ast.Name)
                else ""
            )
            and not module.value(parent.func).names & {"asyncio.sleep"}
        ):
            return True
        if is_function(parent) and not isinstance(parent, ast.Lambda):
            if needs_secrecy(getattr(parent, "name", "")):
                return True
            break
        child = parent
    return any(
        value.names & _ALPHABETS
        or (
            value.constant is not None
            and isinstance(value.constant.value, str)
            and len(value.constant.value) >= ALPHABET
        )
        for value in call.args
    ) or any(
        isinstance(part, ast.Attribute | ast.Name) and (module.resolve(part) or "") in _ALPHABETS
        for argument in call.node.args
        for part in inside(argument)
    )
