"""One source file: its text, its tree and the scopes in it, each made when first asked for."""

from __future__ import annotations

import ast
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING

from fastness.tool.project.source import index
from fastness.tool.project.source import outline as outlines
from fastness.tool.project.source.outline import Outline
from fastness.tool.project.source.symbols import Binding, CallSite, Class, Function, Kind, Scope, last_name, values

_TEST_PATH = re.compile(
    r"(?:^|/)(?:tests?|testing|tests?\.py|conftest\.py|test_[^/]*\.py|[^/]*_tests?\.py)(?:/|$)", re.IGNORECASE
)
# Of scripts and of migrations.
ASIDE = re.compile(r"scripts?|examples?|docs?|benchmarks?|bench|tools?|notebooks?|alembic|migrations?|versions")

_OUTLINED = frozenset({"defined", "functions", "classes"})


class UnparsableError(Exception):
    """The file cannot be read as Python. The message says why, and where when that is known."""


class Module:
    """A Python file of the project.

    Attributes:
        path: relative to the checked directory, with forward slashes.
        name: the dotted name under which the project imports it.
        bit: stands for the module in `reading`, and `inner_bit` for the bodies of its functions.
        text: the source as it stands in the file; lines in findings refer to it.
        outline: what is known of it without reading it.
        known_calls: the calls that somebody has already, by the id of their scope and their number.
        is_imported: by a served file, whatever its folder is called.
        put: what is put into collections by subscript or method and where, by the collection's name; `.name` of an object's.
        bindings: what the names of its top level are bound to. This and the rest are read from the tree when one is asked for;
            functions, classes and all that is defined, in the order of the file, from the outline if there is one.
    """

    bindings: dict[str, list[Binding]]
    put: dict[str, list[tuple[ast.expr, Scope]]]
    calls: list[CallSite]
    defined: list[Function | Class]
    functions: list[Function]
    classes: list[Class]
    imports: list[tuple[str, str | None, ast.Import | ast.ImportFrom, Scope, bool]]
    stars: list[str]

    def __init__(self, path: str, name: str, source: bytes) -> None:
        self.path = path
        self.name = name
        self.text = _decoded(source)
        self.is_package = path.endswith("__init__.py")
        self.bit = self.inner_bit = 0
        self.is_imported = False
        self.outline: Outline | None = None
        self.known_calls: dict[tuple[int, int], CallSite] = {}
        self._mentioned: dict[str, bool] = {}

    def __repr__(self) -> str:
        return f"<Module {self.path}>"

    @property
    def qualified(self) -> str:
        return self.name

    @cached_property
    def is_test(self) -> bool:
        """A test, by its place: most rules have nothing to say about it."""
        return bool(_TEST_PATH.search(self.path))

    @cached_property
    def is_aside(self) -> bool:
        """In a folder of scripts or of migrations: runs by hand or in a deployment, unless the service imports it."""
        return any(map(ASIDE.fullmatch, self.path.split("/")[:-1]))

    @property
    def is_service(self) -> bool:
        """Part of what runs in production, as far as its place tells, and who imports it."""
        return not self.is_test and (self.is_imported or not self.is_aside)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree.

        Raises:
            UnparsableError: no version of Python reads the file.
        """
        return _parsed(self.text)

    def indexed(self) -> Module:
        """The module with its scopes filled. Raises UnparsableError."""
        if not self.is_read:
            tree = self.tree
            known = self.__dict__.get("defined", ())
            self._define_nothing()
            index.build(self, tree, known)
        return self

    @property
    def is_read(self) -> bool:
        """The scopes are filled."""
        return "bindings" in self.__dict__

    if not TYPE_CHECKING:  # which would take every attribute for one of a module

        def __getattr__(self, name: str) -> object:
            """Fills the scopes for whoever asks first; a file that cannot be read defines nothing."""
            if name not in Module.__annotations__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            if self.outline is not None and name in _OUTLINED:
                self.defined = outlines.apply(self, self.outline)
                self.functions = [one for one in self.defined if isinstance(one, Function)]
                self.classes = [one for one in self.defined if isinstance(one, Class)]
            else:
                try:
                    self.indexed()
                except UnparsableError:
                    self._define_nothing()
            return self.__dict__[name]

    def _define_nothing(self) -> None:
        self.bindings, self.put, self.calls, self.imports, self.stars = {}, {}, [], [], []
        self.defined, self.functions, self.classes = [], [], []

    def fault(self) -> str | None:
        """Why the file cannot be read, None when it can. Nothing is kept of what that takes."""
        if "tree" in self.__dict__:
            return None
        try:
            _parsed(self.text)
        except UnparsableError as error:
            return str(error)
        return None

    def absolute(self, module: str | None, level: int) -> str:
        """The dotted name that `from <level dots><module> import` means in this file."""
        if not level:
            return module or ""
        parts = self.name.split(".") if self.name else []
        keep = len(parts) - level + (1 if self.is_package else 0)
        return ".".join([*parts[: max(keep, 0)], *([module] if module else [])])

    @cached_property
    def labels(self) -> list[str]:
        """A name for each definition, unlike all others. What is edited in bodies changes it for what is in bodies only."""
        times = Counter((id(one.parent), one.name) for one in self.defined)
        seen: Counter[tuple[int, str]] = Counter()
        labels: list[str] = []
        for one in self.defined:
            above, name, key = one.parent, one.name, (id(one.parent), one.name)
            if times[key] > 1:
                name = f"{name}#{seen[key]}"
                seen[key] += 1
            if not isinstance(above, Module):
                name = f"{labels[above.number]}{'.<locals>.' if isinstance(above, Function) else '.'}{name}"
            labels.append(name)
        return labels

    @cached_property
    def labelled(self) -> dict[str, Function | Class]:
        """The definitions by their labels."""
        return dict(zip(self.labels, self.defined, strict=True))

    @cached_property
    def imported(self) -> list[outlines.Imported]:
        """Every name that the file imports, as its `imports`."""
        if self.outline is not None and not self.is_read:
            return [outlines.Imported(*one) for one in self.outline["imports"]]
        return [
            outlines.Imported(name, member, type_checking, isinstance(scope, Function))
            for name, member, _, scope, type_checking in self.imports
        ]

    @cached_property
    def makers(self) -> frozenset[str]:
        """The last names of the calls that make what the file binds names to when it is imported."""
        if self.outline is not None and not self.is_read:
            return frozenset(self.outline["makers"])
        bound = [one for bindings in self.bindings.values() for one in bindings if one.kind is Kind.ASSIGN]
        served = [one.value for one in bound if one.value is not None and not self.only_as_script(one.node)]
        made = [value for given in served for value in values(given)]
        calls = [value.value if isinstance(value, ast.Await) else value for value in made]
        return frozenset(last_name(call.func) for call in calls if isinstance(call, ast.Call))

    @cached_property
    def calls_by_name(self) -> CallsByName:
        """Every call in the file by the last part of what it calls, and by its own name what was imported under another."""
        return CallsByName(self)

    def call(self, scope: Module | Function, number: int, line: int, awaited: bool, looped: bool) -> CallSite:
        """A call that is not deferred, of the file itself or a function in it; who asks it for more has the file read."""
        if self.is_read:
            return scope.calls[number]
        known = self.known_calls.get((id(scope), number))
        if known is None:
            known = self.known_calls[id(scope), number] = CallSite.__new__(CallSite)
            known.scope, known.number, known.line = scope, number, line
            known.awaited, known.looped, known.deferred = awaited, looped, False
        return known

    @property
    def all_calls(self) -> Iterator[CallSite]:
        """Every call in the file, at module level, in classes and in functions."""
        yield from self.calls
        for defined in self.classes:
            yield from defined.calls
        for function in self.functions:
            yield from function.calls

    def only_as_script(self, node: ast.AST) -> bool:
        """The node stands below `if __name__ == "__main__"`: no service that imports the file runs it."""
        line = getattr(node, "lineno", 0)
        return any(first <= line <= last for first, last in self._script_lines)

    @cached_property
    def _script_lines(self) -> list[tuple[int, int]]:
        if "__main__" not in self.text:
            return []
        return [
            (statement.lineno, statement.body[-1].end_lineno or statement.lineno)
            for statement in self.tree.body
            if isinstance(statement, ast.If) and "__main__" in ast.dump(statement.test)
        ]

    def mentions(self, *words: str) -> bool:
        """One of the words stands in the text: a cheap reason to look closer, never a reason to report."""
        for word in words:
            known = self._mentioned.get(word)
            if known is None:
                known = self._mentioned[word] = word in self.text
            if known:
                return True
        return False


class CallsByName:
    """The calls of a file by name. Of one with an outline, it is only read for names that are called there."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def get(self, name: str, default: Sequence[CallSite] = ()) -> Sequence[CallSite]:
        """The calls of that name."""
        return self._found.get(name, default) if name in self.names else default

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that is called; `name()` where what a call of that name gives is called."""
        outline = self._module.outline
        return frozenset(self._found if outline is None else outline["calls"])

    @cached_property
    def _found(self) -> dict[str, list[CallSite]]:
        names = [alias for _, _, node, _, _ in self._module.imports for alias in node.names]
        renamed = {alias.asname: alias.name for alias in names if alias.asname and alias.asname != alias.name}
        found: dict[str, list[CallSite]] = {}
        for site in self._module.all_calls:
            found.setdefault(site.name or _called(site), []).append(site)
            if site.name in renamed:
                found.setdefault(renamed[site.name].rpartition(".")[2], []).append(site)
        return found


def _called(site: CallSite) -> str:
    called = site.node.func
    return f"{last_name(called)}()" if isinstance(called, ast.Call) else ""


def _decoded(source: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)
        return source.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise UnparsableError(f"not text in its encoding: {error}") from error


def encoded(text: str) -> bytes:
    """A text in the encoding that its first lines declare."""
    encoding, _ = tokenize.detect_encoding(BytesIO(text.encode("utf-8", "replace")).readline)
    return text.encode(encoding)


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the project's invalid escapes are not ours to print
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            first = error
        try:
            from fastness.tool.project.source import newer

            return ast.parse(newer.rewrite(text))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise UnparsableError(_reason(first)) from first


def _reason(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"line {error.lineno}: {error.msg}"
    return str(error) or type(error).__name__
