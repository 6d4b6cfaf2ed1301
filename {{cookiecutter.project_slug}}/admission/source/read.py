"""Reads the definitions of a module: imports, aliases, classes, functions, and what stands in what."""

from __future__ import annotations

import ast
from typing import Final

from admission.source.canonical import canonical
from admission.source.module import PACKAGE, ClassInfo, Module, is_definition
from admission.source.tree import index

MAX_NODES: Final = 60_000
"""Nodes of the syntax tree. The longest handler we know has 3,000; past this nobody can judge it, people included."""

MAX_DEPTH: Final = 180
"""Nesting of the syntax tree: the walk recurses, and Python allows about a thousand frames, five a level."""


class TooComplex(Exception):
    """The module is too large, too deep or too tangled to be judged in bounded time."""


def read_module(text: str, file: str, package: str = PACKAGE) -> Module:
    """Parse a module and collect its definitions.

    Args:
        text: the source.
        file: its name.
        package: where its relative imports start.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it does not parse.
        TooComplex: it has too many nodes, or nests too deeply.
    """
    tree = ast.parse(text)
    module = Module(text, file, tree)
    _note_parents(module)
    for node in module.walk(ast.Import, ast.ImportFrom):
        _note_import(module, node, package)
    for node in module.walk(ast.ClassDef):
        if isinstance(node, ast.ClassDef):
            module.classes.setdefault(f".{node.name}", ClassInfo(f".{node.name}", node, ()))
    for statement in tree.body:
        _note_alias(module, statement)
    for info in module.classes.values():
        _note_class(module, info)
    for statement in tree.body:
        if is_definition(statement):
            module.functions[statement.name] = statement
    return module


def _note_parents(module: Module) -> None:
    found = index(module.tree, MAX_NODES, MAX_DEPTH)
    if isinstance(found, str):
        raise TooComplex(found)
    module.parents.update(found)


def _note_import(module: Module, node: ast.AST, package: str) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            module.imports[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )
    elif isinstance(node, ast.ImportFrom):
        source = import_source(node, package)
        for alias in node.names:
            module.imports[alias.asname or alias.name] = canonical(f"{source}.{alias.name}")


def import_source(node: ast.ImportFrom, package: str = PACKAGE) -> str:
    """Return the absolute name of the module that is imported from."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = ".".join(parts[: max(1, len(parts) - node.level + 1)])
    return f"{base}.{node.module}" if node.module else base


def _note_alias(module: Module, statement: ast.stmt) -> None:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        name, value = statement.targets[0].id, statement.value
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        name, value = statement.target.id, statement.value
    else:
        return
    if isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp | ast.Call | ast.Constant):
        if isinstance(value, ast.Constant) and not isinstance(value.value, str):
            return
        module.aliases.setdefault(name, value)


def _note_class(module: Module, info: ClassInfo) -> None:
    bases = []
    for base in info.node.bases:
        target = base.value if isinstance(base, ast.Subscript) else base
        name = module.resolve(target)
        if name:
            bases.append(name)
        if isinstance(base, ast.Subscript) and name == "pydantic.RootModel":
            root = ast.AnnAssign(ast.Name("root", ast.Store()), base.slice, None, 1)
            info.fields["root"] = ast.copy_location(root, base)
    info.bases = tuple(bases)
    for statement in info.node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            info.fields[statement.target.id] = statement
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    info.assigned[target.id] = statement.value
        elif is_definition(statement):
            info.methods[statement.name] = statement
