"""BW106, BW108, BW109, BW111 to BW114: the client's text in HTML, patterns, names, templates, headers and spreadsheets."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.headers import headers_set, is_answer_headers
from admission.source.match import (
    argument_node,
    calls,
    free,
    free_parts,
    is_constant,
    method,
    methods,
    name_of,
    named,
    source_of,
)
from admission.source.patterns import is_catastrophic
from admission.source.tree import inside, is_inside
from admission.source.values import ROW, SECRET, STORED
from admission.source.words import is_prose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module
    from admission.source.values import Value

registry = Registry()

_REGEX: Final = frozenset(
    f"re.{name}"
    for name in ("compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer", "template")
)
_MARKUP: Final = frozenset(
    {"markupsafe.Markup", "jinja2.Markup", "django.utils.safestring.mark_safe", "jinja2.utils.markupsafe.Markup"}
)
_TEMPLATE_TEXT: Final = frozenset(
    {
        "jinja2.Template",
        "mako.template.Template",
        "jinja2.Environment.from_string",
        "jinja2.sandbox.SandboxedEnvironment.from_string",
        "string.Template",
        "jinja2.environment.Template",
        "chevron.render",
        "pystache.render",
    }
)
_ATTRIBUTE: Final = frozenset(
    {
        "builtins.getattr",
        "builtins.hasattr",
        "builtins.delattr",
        "operator.attrgetter",
        "operator.methodcaller",
        "builtins.setattr",
    }
)
_HTML_MESSAGE: Final = "Text that somebody wrote, now or earlier, becomes part of a page as it is. Whoever sent it runs scripts in the browsers of others."
_HTML_MEND: Final = "Escape it: `html.escape(name)`; better, answer with a model and let the client render it."


@registry.rule("BW106", "HTML from input")
def html_from_input(module: Module) -> Iterator[Fault]:
    """Point at pages that hold text of the client unescaped."""
    for call in calls(module):
        node = _html_argument(module, call)
        if node is not None:
            yield Fault(node if node.lineno == call.node.lineno else call.node, _HTML_MESSAGE, _HTML_MEND)
            for made in module.value(node).composed:
                places = [*free_parts(module, made), *(() if is_inside(made, call.node) else (made,))]
                yield from (Fault(place, _HTML_MESSAGE, _HTML_MEND) for place in places)
        if named(call, {"jinja2.Environment", "jinja2.environment.Environment"}) and not _escapes(module, call):
            yield Fault(
                call.node,
                "This template environment escapes nothing. Text of a client in it becomes script.",
                "Say `Environment(autoescape=select_autoescape())`.",
            )
    for returned in _pages(module):
        yield Fault(returned, _HTML_MESSAGE, _HTML_MEND)


def _pages(module: Module) -> Iterator[ast.AST]:
    """Yield where a route whose answers are pages returns text of the client."""
    for route in module.routes:
        said = route.options.get("response_class")
        names = module.value(said).names | {(module.resolve(said) if said is not None else None) or ""}
        for part in inside(route.node) if "fastapi.responses.HTMLResponse" in names else ():
            value = part.value if isinstance(part, ast.Return) else None
            if value is not None and not _is_response(module, value) and _is_unescaped(module.value(value)):
                yield part


def _is_unescaped(value: Value) -> bool:
    """Return whether a page holds text that somebody wrote: the client, or whoever wrote the row that is shown."""
    return free(value, "html") or STORED in value.all_labels()


def _is_response(module: Module, node: ast.expr) -> bool:
    return any("Response" in kind for kind in module.value(node).types)


def _html_argument(module: Module, call: Call) -> ast.expr | None:
    page = named(call, {"fastapi.responses.HTMLResponse"}) or (
        any(name in module.classes and module.is_a(name, "fastapi.responses.HTMLResponse") for name in call.names)
    )
    typed = named(
        call, {"fastapi.Response", "fastapi.responses.StreamingResponse", "fastapi.responses.PlainTextResponse"}
    )
    if typed:
        kind = call.argument(None, "media_type")
        page = (
            kind is not None
            and kind.constant is not None
            and any(word in str(kind.constant.value).lower() for word in ("html", "svg"))
        )
        page = page or _is_html_by_header(call)
    node = argument_node(call, 0, "content") if page else argument_node(call, 0) if named(call, _MARKUP) else None
    return node if node is not None and _is_unescaped(module.value(node)) else None


def _is_html_by_header(call: Call) -> bool:
    headers = call.argument(None, "headers")
    said = (headers.field("content-type") or headers.field("Content-Type")) if headers is not None else None
    return said is not None and said.constant is not None and "html" in str(said.constant.value)


def _escapes(module: Module, call: Call) -> bool:
    said = argument_node(call, None, "autoescape")
    return said is not None and not is_constant(module.value(said), False)


@registry.rule("BW108", "A regular expression from input")
def pattern_from_input(module: Module) -> Iterator[Fault]:
    """Point at patterns that the client chooses."""
    for call in calls(module):
        name = named(call, _REGEX)
        if name is None:
            continue
        node = argument_node(call, 0, "pattern")
        if node is not None and free(module.value(node), "regex"):
            yield Fault(
                node if node.lineno == call.node.lineno else call.node,
                "The client chooses this regular expression. One that backtracks holds a processor for as long as it likes.",
                "Search for plain text: `needle in text`, or `re.escape(needle)`; in SQL `.contains(needle, autoescape=True)`.",
            )


@registry.rule("BW109", "A catastrophic regular expression")
def catastrophic_pattern(module: Module) -> Iterator[Fault]:
    """Point at constant patterns whose backtracking grows exponentially, those of a table of the module among them."""
    mend = "Let each character be matched in one way only: `[a-z]+` for `([a-z]+)+`; or use a pydantic `pattern=`, whose engine does not backtrack."
    for pattern in _tabled_patterns(module):
        yield Fault(
            pattern,
            f"`{str(pattern.value)[:60]}` repeats what already repeats. A few dozen characters that almost match hold a processor for hours.",
            mend,
        )
    for call in calls(module):
        if not named(call, _REGEX):
            continue
        node = argument_node(call, 0, "pattern")
        said = module.value(node).constant if node is not None else None
        if node is not None and said is not None and isinstance(said.value, str) and is_catastrophic(said.value):
            yield Fault(
                node if node.lineno == call.node.lineno else call.node,
                f"`{said.value[:60]}` repeats what already repeats. A few dozen characters that almost match hold a processor for hours.",
                mend,
            )
            definition = node if isinstance(node, ast.Constant) else _definition(module, node)
            if definition is not None and definition.lineno != call.node.lineno:
                yield Fault(
                    definition,
                    "This pattern repeats what already repeats. A few dozen characters that almost match hold a processor for hours.",
                    mend,
                )


def _tabled_patterns(module: Module) -> Iterator[ast.Constant]:
    """Yield the patterns in tables of a module that uses `re`: which of them is used where is not followed."""
    if not any(named(call, _REGEX) for call in calls(module)):
        return
    for statement in module.tree.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Tuple | ast.List | ast.Dict | ast.Set):
            yield from (
                part
                for part in inside(value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and is_catastrophic(part.value)
            )


def _definition(module: Module, node: ast.expr) -> ast.expr | None:
    return module.aliases.get(node.id) if isinstance(node, ast.Name) else None


@registry.rule("BW111", "The client chooses an attribute")
def attribute_from_input(module: Module) -> Iterator[Fault]:
    """Point at lookups of attributes, and of globals, by a name that the client chooses."""
    mend = 'Look it up in a constant dictionary: `COLUMNS = {"name": Item.name, "price": Item.price}`, then `COLUMNS[sort]` with `sort: Literal["name", "price"]`.'
    for call in calls(module):
        if named(call, _ATTRIBUTE):
            node = argument_node(call, 0 if "operator" in "".join(call.names) else 1)
            if node is not None and free(module.value(node)):
                yield Fault(
                    call.node,
                    f"The client chooses the attribute in `{source_of(call.node)}`. It reaches what was never meant for it, `__class__` and methods among it.",
                    mend,
                )
    for subscript in module.walk(ast.Subscript):
        if (
            isinstance(subscript, ast.Subscript)
            and _is_namespace(module, subscript.value)
            and free(module.value(subscript.slice))
        ):
            yield Fault(
                subscript, "The client chooses a name of the module. It reaches every function and import in it.", mend
            )
    for call in calls(module):
        if (
            method(call) in {"get", "__getitem__"}
            and isinstance(call.node.func, ast.Attribute)
            and _is_namespace(module, call.node.func.value)
            and call.args
            and free(call.args[0])
        ):
            yield Fault(
                call.node, "The client chooses a name of the module. It reaches every function and import in it.", mend
            )


def _is_namespace(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute) and node.attr == "__dict__":
        return True
    return isinstance(node, ast.Call) and bool(
        module.value(node.func).names & {"builtins.globals", "builtins.locals", "builtins.vars"}
    )


@registry.rule("BW112", "A format string or template from input")
def template_from_input(module: Module) -> Iterator[Fault]:
    """Point at templates whose text the client chooses."""
    for call in calls(module):
        node: ast.expr | None = None
        if named(call, _TEMPLATE_TEXT) or methods(call) & {"from_string"}:
            node = argument_node(call, 0, "template", "source", "text")
            if named(call, {"string.Template"}) and _names_what_it_fills_in(module, call):
                node = None
        elif (
            method(call) in {"format", "format_map"}
            and isinstance(call.node.func, ast.Attribute)
            and not call.functions
        ):
            node = call.node.func.value
            if not free(module.value(node)) or module.value(node).types - {"builtins.str"}:
                node = None
        elif named(call, {"builtins.str.format", "builtins.format"}) and call.node.args:
            node = argument_node(call, 0) if "builtins.str.format" in call.names else argument_node(call, 1)
        if node is not None and free(module.value(node)):
            yield Fault(
                call.node,
                "The client writes the template. `{0.__class__}` or `{{ config }}` in it reads the inside of the service, or runs code.",
                'Keep the template constant and pass the client\'s text as a value: `"Dear {name}".format(name=name)`.',
            )
    for node_ in module.walk(ast.BinOp):
        if (
            isinstance(node_, ast.BinOp)
            and isinstance(node_.op, ast.Mod)
            and "builtins.str" in module.value(node_.left).types
            and free(module.value(node_.left))
            and not module.value(node_.left).composed
        ):
            yield Fault(
                node_,
                "The client writes the format string. Its fields read what was not meant for it, or make the request fail.",
                "Keep the format string constant and pass the client's text as a value.",
            )


def _names_what_it_fills_in(module: Module, call: Call) -> bool:
    """Return whether a `string.Template`, which knows plain names only, is filled in from names that are listed, none of them a secret."""
    verbs = [parent for parent in (module.parents.get(call.node),) if isinstance(parent, ast.Attribute)]
    statement = module.statement_of(call.node)
    if (
        isinstance(statement, ast.Assign)
        and statement.value is call.node
        and isinstance(statement.targets[0], ast.Name)
    ):
        held = statement.targets[0].id
        verbs = [
            part
            for part in inside(module.function_of(call.node) or module.tree)
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == held
        ]
    fills = [
        filled
        for verb in verbs
        if isinstance(filled := module.parents.get(verb), ast.Call) and verb.attr in {"substitute", "safe_substitute"}
    ]
    return bool(fills) and len(fills) == len(verbs) and all(_is_listed(module, filled) for filled in fills)


def _is_listed(module: Module, filled: ast.Call) -> bool:
    values = [keyword.value for keyword in filled.keywords]
    if any(keyword.arg is None for keyword in filled.keywords):
        return False
    for argument in filled.args:
        shown = (
            (module.given.get((module.function_of(argument), argument.id)) or [argument])[-1]
            if isinstance(argument, ast.Name)
            else argument
        )
        if not isinstance(shown, ast.Dict) or any(
            key is None or module.value(key).constant is None for key in shown.keys
        ):
            return False
        values += shown.values
    return not any(SECRET in module.value(value).all_labels() for value in values)


@registry.rule("BW113", "A response header from input")
def header_from_input(module: Module) -> Iterator[Fault]:
    """Point at headers of the answer that hold text of the client."""
    message = "Text of the client becomes a header of the answer. With a line break in it, it adds headers or a whole second answer."
    mend = "Send it in the body; a file name as `quote(name, safe=\"\")` in `filename*=UTF-8''...`."
    yield from (Fault(node, message, mend) for node in (*_assigned_headers(module), *_called_headers(module)))
    for name, node, value in headers_set(module):
        if (
            name == "content-disposition"
            and STORED in module.value(value).all_labels()
            and any(_is_as_stored(module, part, value) for part in inside(value))
        ):
            stored = "A name that somebody gave becomes part of a header as it is. A quote in it ends the name, and a letter that is not Latin makes this a 500."
            yield Fault(node, stored, mend)


def _is_as_stored(module: Module, part: ast.AST, whole: ast.expr) -> bool:
    """Return whether a part of a text is a column of prose as it is: no call has made anything else of it."""
    if isinstance(part, ast.Name):
        given = module.given.get((module.function_of(part), part.id), [])
        return bool(given) and all(
            isinstance(each, ast.Attribute) and _is_as_stored(module, each, each) for each in given
        )
    if not isinstance(part, ast.Attribute) or not is_prose(part.attr) or ROW not in module.value(part).all_labels():
        return False
    return not any(isinstance(parent, ast.Call) and is_inside(parent, whole) for parent in module.ancestors(part))


def _assigned_headers(module: Module) -> Iterator[ast.AST]:
    for node in module.walk(ast.Assign, ast.AugAssign):
        places = (
            [target.value for target in node.targets if isinstance(target, ast.Subscript)]
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AugAssign)
            else []
        )
        if (
            isinstance(node, ast.Assign | ast.AugAssign)
            and any(is_answer_headers(module, place) for place in places)
            and free(module.value(node.value), "url")
        ):
            yield node


def _called_headers(module: Module) -> Iterator[ast.AST]:
    for call in calls(module):
        if any(name.startswith(("fastapi.responses.", "fastapi.Response")) for name in call.names):
            headers = call.argument(None, "headers")
            if headers is not None and any(
                free(value, "url") for value in (*(value for _, value in headers.fields), headers.items)
            ):
                yield argument_node(call, None, "headers") or call.node
        if (
            method(call) in {"append", "update", "setdefault", "add"}
            and isinstance(call.node.func, ast.Attribute)
            and is_answer_headers(module, call.node.func.value)
            and any(free(value, "url") for value in call.args)
        ):
            yield call.node


_WRITERS: Final = frozenset(
    f"csv.{kind}().{verb}" for kind in ("writer", "DictWriter") for verb in ("writerow", "writerows")
)


@registry.rule("BW114", "A cell of a spreadsheet that runs")
def cell_from_text(module: Module) -> Iterator[Fault]:
    """Point at text that others wrote, which becomes a cell as it is: a spreadsheet computes what begins with `=`."""
    for call in calls(module):
        if not call.names & _WRITERS:
            continue
        for part in (part for argument in call.node.args for part in inside(argument)):
            if (
                isinstance(part, ast.Name | ast.Attribute)
                and is_prose(name_of(part))
                and _is_of_others(module, part)
                and not _goes_through_function(module, part, call.node)
            ):
                yield Fault(
                    call.node,
                    "Others wrote this text, and it becomes a cell as it is. A spreadsheet computes a cell that begins with `=`, `+`, `-` or `@`: it sends the sheet elsewhere, or starts a program.",
                    'Put an apostrophe before what is computed: `f"\'{text}" if text.startswith(("=", "+", "-", "@", "\\t", "\\r")) else text`.',
                    None if _is_written_here(module, part) else "remark",
                )
                break


def _is_of_others(module: Module, node: ast.expr) -> bool:
    """Return whether a value is a column of a table that is not the caller's own."""
    tables = [
        name
        for name, info in (*module.classes.items(), *module.tables.items())
        if name_of(node) in info.fields and module.is_table(name)
    ]
    return ROW in module.value(node).all_labels() and any(not module.is_owned(name) for name in tables)


def _is_written_here(module: Module, node: ast.expr) -> bool:
    """Return whether a handler of this module puts text of its clients into a column of this name; else the staff may have written it."""
    name = name_of(node)
    for call in calls(module):
        if any(module.is_table(kind) for kind in call.names) and any(
            keyword.arg == name and free(module.value(keyword.value)) for keyword in call.node.keywords
        ):
            return True
    return any(
        isinstance(part, ast.Assign)
        and isinstance(part.targets[0], ast.Attribute)
        and part.targets[0].attr == name
        and free(module.value(part.value))
        for part in module.walk(ast.Assign)
    )


def _goes_through_function(module: Module, node: ast.AST, end: ast.AST) -> bool:
    """Return whether a function of the module makes of a text what becomes the cell."""
    for parent in module.ancestors(node):
        if parent is end:
            return False
        if isinstance(parent, ast.Call) and module.value(parent.func).functions:
            return True
    return False
