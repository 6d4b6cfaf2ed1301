"""Follows values through a module: its body first, then every route with what the client sends, then the rest."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from admission.source.environment import Environment
from admission.source.module import is_definition
from admission.source.patterns import is_safe_pattern
from admission.source.routes import Parameter, Route, find_routes, parameters_of
from admission.source.statements import Statements
from admission.source.values import INPUT, NOTHING, SHAPED, Function, Value, join

if TYPE_CHECKING:
    from admission.source.module import Module

MAX_PASSES: Final = 3
"""What a method leaves in ``self`` is seen by the others in the next pass; two are enough for real code."""

MAX_DEPENDENCIES: Final = 8


class Flow(Statements):
    """Follows the values of one module."""

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self.entering: list[ast.AST] = []

    def run(self) -> None:
        """Walk through the whole module until nothing new is learnt.

        Raises:
            TooComplex: it takes too many steps.
        """
        for _ in range(MAX_PASSES):
            self.attributes_grew = False
            self._pass()
            if not self.attributes_grew:
                break

    def _pass(self) -> None:
        self.done.clear()
        self.walked.clear()
        self.root = Environment(None, dict(self.root.bindings))
        self.execute(self.module.tree.body, self.root)
        self.module.routes = find_routes(self.module)
        for route in self.module.routes:
            self._enter_route(route)
        self._enter_the_rest()

    def _enter_route(self, route: Route) -> None:
        keywords = {parameter.name: self._received(parameter) for parameter in route.parameters}
        dependencies = route.options.get("dependencies")
        if isinstance(dependencies, ast.List | ast.Tuple):
            self._depend_on(dependencies.elts)
        self.invoke(Function(route.node, self._home(route.node)), (), keywords)
        decorated = self.module.value(route.node)
        for function in decorated.functions:
            if function.node is not route.node:
                self.invoke(function, (), keywords)

    def _home(self, node: ast.AST) -> Environment:
        """Return the scope in which a function was defined."""
        for function in self.module.value(node).functions:
            if function.node is node:
                return function.closure
        return self.root

    def _depend_on(self, dependencies: list[ast.expr]) -> None:
        for dependency in dependencies:
            if isinstance(dependency, ast.Call) and dependency.args:
                self._provided(self.evaluate(dependency.args[0], self.root))

    def _received(self, parameter: Parameter) -> Value:
        """Return what FastAPI hands over for a parameter."""
        annotation = parameter.annotation
        if parameter.source == "dependency":
            provider = (
                self.evaluate(parameter.depends, self.root)
                if parameter.depends is not None
                else Value(names=annotation.types)
            )
            value = self._provided(provider)
            return value if value.types or not annotation.types else replace(value, types=annotation.types)
        if parameter.source == "scaffold":
            labels = frozenset({INPUT}) if annotation.types & {"fastapi.Request", "fastapi.WebSocket"} else frozenset()
            return Value(types=annotation.types, labels=labels)
        value = self.from_client(annotation)
        if parameter.source in {"query", "path", "header", "cookie", "form"} and not annotation.types:
            value = replace(value, types=frozenset({"builtins.str"}))
        if any(self._is_shaped(marker) for marker in parameter.markers()):
            value = replace(value.without(INPUT), labels=frozenset({SHAPED}))
        return value

    def _is_shaped(self, marker: ast.Call) -> bool:
        """Return whether a pattern lets through nothing but harmless characters."""
        for keyword in marker.keywords:
            if keyword.arg in {"pattern", "regex"}:
                said = self.evaluate(keyword.value, self.root).constant
                return said is not None and isinstance(said.value, str) and is_safe_pattern(said.value)
        return False

    def _provided(self, provider: Value) -> Value:
        """Return what a dependency provides."""
        results: list[Value] = []
        for function in provider.functions:
            if (
                function.node in self.entering
                or len(self.entering) > MAX_DEPENDENCIES
                or not is_definition(function.node)
            ):
                continue
            self.entering.append(function.node)
            parameters = parameters_of(self.module, function.node)[len(function.bound) :]
            keywords = {
                parameter.name: self._received(parameter)
                for parameter in parameters
                if parameter.name not in dict(function.keywords)
            }
            made = self.invoke(function, (), keywords)
            yields = made.items is not None and not made.types
            results.append(made.items if yields and made.items is not None else made)
            self.entering.pop()
        for name in provider.names:
            if name in self.module.classes:
                results.append(self._constructed(name))
            else:
                results.append(Value(types=frozenset({f"{name}()"})))
        for kind in provider.types:
            method = self.module.method_of(kind, "__call__")
            if method is not None and method not in self.entering:
                receiver = Function(method, self.root, (self.instance(kind),))
                results.append(self._provided(Value(functions=frozenset({receiver}))))
        return join(*results)

    def _constructed(self, name: str) -> Value:
        """Return an instance of a class that FastAPI makes of query parameters."""
        method = self.module.method_of(name, "__init__")
        if method is not None:
            parameters = parameters_of(self.module, method, skip_self=True)
            return self.construct(name, (), {parameter.name: self._received(parameter) for parameter in parameters})
        return Value(types=frozenset({name}), labels=frozenset({INPUT}))

    def _enter_the_rest(self) -> None:
        """Walk through what nobody called: somebody may, with anything."""
        for node in self.module.walk(ast.FunctionDef, ast.AsyncFunctionDef):
            if not is_definition(node) or node in self.walked:
                continue
            owner = self.module.parents.get(node)
            bound: tuple[Value, ...] = ()
            arguments = [*node.args.posonlyargs, *node.args.args]
            if isinstance(owner, ast.ClassDef) and arguments:
                bound = (self.instance(f".{owner.name}"),)
                arguments = arguments[1:]
            args = [self._anything(argument) for argument in arguments]
            keywords = {argument.arg: self._anything(argument) for argument in node.args.kwonlyargs}
            self.invoke(Function(node, self._home(node), bound), args, keywords)

    def _anything(self, argument: ast.arg) -> Value:
        annotation = self.module.annotation(argument.annotation)
        if not annotation.types:
            return NOTHING
        if (
            any(kind.startswith(("sqlalchemy.", "app.", "fastapi.")) for kind in annotation.types)
            and "fastapi.Request" not in annotation.types
        ):
            return Value(types=annotation.types)
        return self.from_client(annotation)
