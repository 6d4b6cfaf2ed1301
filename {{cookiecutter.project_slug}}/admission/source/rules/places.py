"""BW104, BW105, BW107: the client chooses a file, a URL, or where the browser goes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.declare import Fault, Registry
from admission.source.effects import OFF_LOOP
from admission.source.headers import headers_set
from admission.source.match import (
    argument_node,
    calls,
    constant_prefix,
    free,
    is_bare,
    method,
    methods,
    named,
    put_together,
    source_of,
    stays_on_host,
)
from admission.source.outbound import FETCHER, HTTP_CLIENTS, is_upstream
from admission.source.tree import inside
from admission.source.values import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admission.source.module import Call, Module

registry = Registry()

_FILES: Final = {
    **dict.fromkeys(
        (
            "builtins.open",
            "aiofiles.open",
            "anyio.open_file",
            "os.open",
            "os.remove",
            "os.unlink",
            "os.rmdir",
            "os.mkdir",
            "os.makedirs",
            "os.listdir",
            "os.scandir",
            "os.walk",
            "os.stat",
            "os.chmod",
            "os.removedirs",
            "os.truncate",
            "os.utime",
            "shutil.rmtree",
            "zipfile.ZipFile",
            "tarfile.open",
            "sqlite3.connect",
            "gzip.open",
            "bz2.open",
            "lzma.open",
            "tarfile.TarFile",
            "linecache.getlines",
            "linecache.getline",
            "mmap.mmap",
            "io.FileIO",
            "codecs.open",
            "fileinput.input",
            "logging.FileHandler",
            "PIL.Image.open",
            "os.path.getsize",
            "os.path.exists",
            "os.path.isfile",
            "glob.glob",
            "glob.iglob",
            "numpy.load",
            "pandas.read_csv",
            "tempfile.mkdtemp",
            "tempfile.mkstemp",
            "tempfile.TemporaryDirectory",
            "tempfile.TemporaryFile",
            "tempfile.NamedTemporaryFile",
            "tempfile.SpooledTemporaryFile",
        ),
        (0,),
    ),
    **dict.fromkeys(
        (
            "os.rename",
            "os.replace",
            "os.link",
            "os.symlink",
            "shutil.copy",
            "shutil.copy2",
            "shutil.copyfile",
            "shutil.move",
            "shutil.copytree",
            "shutil.unpack_archive",
            "shutil.make_archive",
        ),
        (0, 1),
    ),
    "fastapi.responses.FileResponse": (0,),
    "fastapi.staticfiles.StaticFiles": (0,),
}
_FILE_KEYWORDS: Final = ("path", "file", "src", "dst", "directory", "filename", "dir")
_PATH_METHODS: Final = frozenset(
    [
        "open",
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "unlink",
        "mkdir",
        "rmdir",
        "rename",
        "replace",
        "touch",
        "iterdir",
        "glob",
        "rglob",
        "exists",
        "is_file",
        "is_dir",
        "stat",
        "chmod",
        "symlink_to",
        "hardlink_to",
    ]
)
_TEMPLATES: Final = frozenset({"TemplateResponse", "get_template", "select_template"})
_MEND_FILE: Final = "Let the client name an id and look the file up; or: `path = (ROOT / name).resolve()`, then `if not path.is_relative_to(ROOT): raise HTTPException(404)`."


@registry.rule("BW104", "The client chooses a file")
def file_from_input(module: Module) -> Iterator[Fault]:
    """Point at file operations on a path that holds text of the client."""
    for call in calls(module):
        node = _path_argument(module, call)
        if node is not None:
            yield Fault(
                node if node.lineno == call.node.lineno else call.node,
                f"The client chooses the path in `{source_of(call.node)}`. With `../` it reads or writes any file that the service can reach.",
                _MEND_FILE,
            )
            for made in put_together(module, _path_in(call, node), "path"):
                yield Fault(
                    made,
                    "The client's text becomes part of a path here. With `../` it leads out of its folder.",
                    _MEND_FILE,
                )


def _path_in(call: Call, node: ast.expr) -> ast.expr:
    """Return the part of a file operation that holds its path."""
    if node is not call.node:
        return node
    return call.node.args[0] if _hands_on(call) else call.node.func


def _path_argument(module: Module, call: Call) -> ast.expr | None:
    name = named(call, _FILES)
    if name is not None:
        keywords = () if name == "fastapi.responses.FileResponse" else _FILE_KEYWORDS
        for position in _FILES[name]:
            node = argument_node(call, position, *(keywords if position == 0 else ("dst",)), "path")
            if node is not None and free(module.value(node), "path") and not _is_handle(module, node):
                return node
    if (
        (method(call) in _PATH_METHODS or methods(call) & _PATH_METHODS)
        and call.receiver.types & {"pathlib.Path", "anyio.Path"}
        and free(call.receiver, "path")
    ):
        return call.node
    if methods(call) & _TEMPLATES and not call.functions:
        node = argument_node(call, None, "name")
        nodes = [node] if node is not None else call.node.args[:2]
        return next(
            (
                each
                for each in nodes
                if free(module.value(each), "path")
                and "fastapi.Request" not in module.value(each).types
                and not isinstance(each, ast.Dict)
            ),
            None,
        )
    return call.node if _hands_on(call) else None


def _hands_on(call: Call) -> bool:
    """Return whether a function that opens files is handed on, with the client's path: `to_thread(open, name)`."""
    position = next((OFF_LOOP[name] for name in sorted(call.names) if name in OFF_LOOP), 0)
    handed = call.args[position] if len(call.args) > position else NOTHING
    if handed.names & _FILES.keys() and any(free(later, "path") for later in call.args[position + 1 : position + 2]):
        return True
    return any(name.startswith("pathlib.Path.") for name in handed.names) and free(handed, "path")


def _is_handle(module: Module, node: ast.expr) -> bool:
    """An open file or bytes in memory are no path: `ZipFile(upload.file)`, `Image.open(BytesIO(raw))`."""
    value = module.value(node)
    return (isinstance(node, ast.Attribute) and node.attr == "file") or bool(
        value.types & {"io.BytesIO", "io.StringIO", "builtins.bytes", "fastapi.UploadFile.read()"}
    )


@registry.rule("BW105", "The client chooses a URL that the service calls")
def url_from_input(module: Module) -> Iterator[Fault]:
    """Point at outbound calls whose host the client chooses, and at paths of declared upstreams with text of the client in them."""
    for call in calls(module):
        node = _written_into(module, call) or _url_argument(module, call)
        if node is None:
            continue
        place = node if node.lineno == call.node.lineno else call.node
        for made in put_together(module, node, "url"):
            yield Fault(
                made,
                "The client's text becomes part of a URL here, which the service then calls.",
                'Leave the path constant and let the client put the text in: `await catalog.get("/items/{name}", values={"name": name})`.',
            )
        if FETCHER in call.receiver.types:
            yield Fault(
                place,
                f"The client writes part of the URL in `{source_of(call.node)}`, whose host is ours to say. With `/`, `?` or `&` in it, it asks for something else than was meant.",
                'Escape it: `quote(name, safe="")` from `urllib.parse`, or `urlencode({"name": name})`; better, declare the service as an upstream.',
            )
            continue
        if is_upstream(call) and _is_path(module, call, node):
            yield Fault(
                place,
                f"The client writes part of the path in `{source_of(call.node)}`. With `/` in it, it reaches another resource of that service than was meant.",
                'Leave the path constant, and let the client put the text in, escaped: `await catalog.get("/items/{name}", values={"name": name})`.',
            )
            continue
        yield Fault(
            place,
            f"The client chooses the host in `{source_of(call.node)}`. The service then calls whatever it names, the metadata address and internal services among them.",
            'Call a declared upstream with a fixed base URL and pass the client\'s text as a parameter: `await catalog.get("/items", params={"name": name})`.',
        )


_VERBS: Final = frozenset(
    {"get", "post", "put", "patch", "delete", "head", "options", "request", "send", "stream", "fetch"}
)


def _url_argument(module: Module, call: Call) -> ast.expr | None:
    if FETCHER in call.receiver.types:
        return None  # it looks at the address, and at what the name leads to
    upstream = is_upstream(call)
    if not upstream and not any(name.startswith(HTTP_CLIENTS) for name in call.names) and not _unknown_client(call):
        return None
    names = methods(call)
    if upstream and not names & _VERBS:
        return None  # a method of the service's own takes values, and no URL
    position = (
        1
        if names & {"request", "stream", "build_request", "Request"}
        and not any("urllib" in name for name in call.names)
        else 0
    )
    node = argument_node(call, position, "url", "base_url", "host", "fullurl")
    if node is None or isinstance(node, ast.Starred):
        return None
    value = module.value(node)
    if not free(value, "url"):
        return None
    prefix = constant_prefix(module, node, use="url")
    return None if not upstream and stays_on_host(prefix) and prefix[:1] != "/" else node


def _written_into(module: Module, call: Call) -> ast.expr | None:
    """Return a URL of a fixed host that `web.fetch` gets, with text of the client in it; one that is all the client's is its to choose."""
    if FETCHER not in call.receiver.types or method(call) != "fetch":
        return None
    node = argument_node(call, 0, "url")
    if node is None or isinstance(node, ast.Starred) or not free(module.value(node), "url"):
        return None
    return node if stays_on_host(constant_prefix(module, node, use="url")) else None


def _is_path(module: Module, call: Call, node: ast.expr) -> bool:
    """Return whether the host of what a declared upstream is asked for is fixed, whatever the client sends."""
    value = module.value(node)
    if constant_prefix(module, node, use="url").startswith("/"):
        return True
    return (
        not any(keyword.arg == "base_url" for keyword in call.node.keywords)
        and bool(value.composed)
        and not is_bare(value, "url")
    )


def _unknown_client(call: Call) -> bool:
    """A client of unknown make: what is told to `get` or `post` looks like a URL argument."""
    if method(call) not in {"get", "post", "put", "patch", "request", "head", "fetch", "ws_connect", "stream"}:
        return False
    said = ast.unparse(call.node.func).lower()
    return any(word in said for word in ("client", "http.", "http_")) and "?." in "".join(call.names)


@registry.rule("BW107", "The client chooses where a redirect goes")
def redirect_from_input(module: Module) -> Iterator[Fault]:
    """Point at redirects whose target the client chooses."""
    mend = 'Redirect to a constant or looked-up target; or admit local paths only: `if not target.startswith("/") or target.startswith("//"): raise HTTPException(400)`.'
    message = "The client chooses where this redirect goes. A link to this service then leads people to a page that imitates it."
    for node, target in _targets(module):
        if free(module.value(target), "url") and not stays_on_host(constant_prefix(module, target, use="url")):
            yield Fault(node, message, mend)


def _targets(module: Module) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Yield where a redirect is made, and its target."""
    for call in calls(module):
        target = argument_node(call, 0, "url") if named(call, {"fastapi.responses.RedirectResponse"}) else None
        if target is not None:
            yield (target if target.lineno == call.node.lineno else call.node), target
        headers = argument_node(call, None, "headers")
        if isinstance(headers, ast.Dict):
            pairs = zip(headers.keys, headers.values, strict=True)
            yield from ((value, value) for key, value in pairs if _is_location(key))
    yield from ((node, value) for name, node, value in headers_set(module) if name in _LOCATIONS)
    yield from _returned_targets(module)
    for assign in module.walk(ast.Assign):
        if isinstance(assign, ast.Assign):
            for each in assign.targets:
                if isinstance(each, ast.Subscript) and _is_location(each.slice):
                    yield assign, assign.value


def _returned_targets(module: Module) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Yield what a route returns whose answers are redirects: FastAPI redirects to it."""
    for route in module.routes:
        said = route.options.get("response_class")
        redirects = said is not None and module.resolve(said) == "fastapi.responses.RedirectResponse"
        for part in inside(route.node) if redirects else ():
            if isinstance(part, ast.Return) and part.value is not None and not isinstance(part.value, ast.Call):
                yield part, part.value


def _is_location(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() in _LOCATIONS


_LOCATIONS: Final = frozenset({"location", "refresh", "hx-redirect"})
