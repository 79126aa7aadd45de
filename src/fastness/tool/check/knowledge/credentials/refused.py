"""What a module refuses when it starts: values that it compares with, and names that must not be empty."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import constant, last_name
from fastness.tool.project.source.walk import walk


class Refusals:
    """What a module refuses, read when first asked for: `if self.secret == "changethis": raise`, `assert SECRET`."""

    def __init__(self, module: Module) -> None:
        self._module = module

    @cached_property
    def texts(self) -> set[str]:
        """What is compared with."""
        compared = (side for test in self._tests if isinstance(test, ast.Compare) for side in walk(test))
        return {side.value for side in compared if isinstance(side, ast.Constant) and isinstance(side.value, str)}

    @cached_property
    def names(self) -> set[str]:
        """What must not be empty."""
        return {
            last_name(part)
            for test in self._tests
            if isinstance(test, ast.Assert) or _asks_for_any(test)
            for part in walk(test)
            if isinstance(part, ast.Name | ast.Attribute)
        } | set(self._validated)

    @property
    def _validated(self) -> Iterator[str]:
        """Fields of which a validator refuses the empty value; settings have their defaults validated."""
        if not self._module.mentions("field_validator", "validator"):
            return
        for method in (method for defined in self._module.classes for method in defined.methods):
            if method.decorated("field_validator", "validator") and any(map(_refuses_nothing, method.of(ast.If))):
                calls = [decorator for decorator in method.decorators if isinstance(decorator, ast.Call)]
                yield from (str(constant(given)) for call in calls for given in call.args)

    @cached_property
    def _tests(self) -> list[ast.AST]:
        if not self._module.mentions("raise") and not self._module.mentions("assert"):
            return []
        tests: list[ast.AST] = []
        for node in walk(self._module.tree):
            if isinstance(node, ast.Assert):
                tests += [node, *walk(node.test)]
            elif isinstance(node, ast.If) and any(isinstance(inner, ast.Raise) for inner in walk(node)):
                tests += walk(node.test)
        return tests


def _refuses_nothing(branch: ast.If) -> bool:
    return any(isinstance(node, ast.Raise) for node in walk(branch)) and any(map(_asks_for_any, walk(branch.test)))


def _asks_for_any(test: ast.AST) -> bool:
    """`not SECRET`, `len(SECRET) < 32`; `given != SECRET` asks whether it is the same."""
    if isinstance(test, ast.Compare):
        return any(isinstance(side, ast.Constant | ast.Tuple) for side in (test.left, *test.comparators))
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
