"""The project: its files, and how a dotted name leads from one to the other."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from fastness.tool.project.files import locate, scripts
from fastness.tool.project.files.others import Others, Question
from fastness.tool.project.kept.reading import CALLED, EVERYTHING, FIRST, Reading
from fastness.tool.project.source.module import Module, UnparsableError, encoded
from fastness.tool.project.source.symbols import Function

_IMPORTED = re.compile(rb"\n[ \t]*(?:from|import)[ \t]+([A-Za-z_][\w.]*)")  # twice as fast as with `^`


class Project:
    """Every Python file below one directory, parsed when first needed.

    Attributes:
        root: the checked directory; None when the sources were given as text.
        unreadable: why the others cannot, by path.
        faults: for each module of which it is known, why it does not parse; None when it does. What is known to parse is not
            parsed before somebody looks into it.
        digests: of the content of each Python file that was read from the directory, by path.
    """

    def __init__(
        self,
        sources: Mapping[str, bytes],
        *,
        root: Path | None = None,
        files: Mapping[str, str] | None = None,
        kept: Mapping[str, Module] | None = None,
    ) -> None:
        self.root = root
        self._modules: dict[str, Module] = {}
        self.unreadable: dict[str, str] = {}
        self.faults: dict[str, str | None] = {}
        self.digests: dict[str, str] = {}
        self._files = dict(files or {})
        self._others = Others(root, self._files, self.unreadable)
        self._roots = _Roots(sources)
        for path, source in sources.items():
            name, same = self._roots.name_of(path), (kept or {}).get(path)
            try:
                is_same = same is not None and same.name == name and not same.is_aside  # who imports those may be another
                self._modules[path] = same if same is not None and is_same else Module(path, name, source)
            except UnparsableError as error:
                self.unreadable[path] = str(error)
        for position, module in enumerate(self._modules.values(), start=FIRST):
            module.bit, module.inner_bit = 1 << position, 1 << (position + len(self._modules))
        self.reading = Reading()
        self._found: dict[tuple[str, ...], Module | None] = {}
        for module in scripts.imported(self._modules, lambda name, importer: self._at(name, self._roots.of(importer.path))):
            module.is_imported = True

    @property
    def modules(self) -> dict[str, Module]:
        """The files that can be read, by path."""
        self.reading.mask |= EVERYTHING
        return self._modules

    def file(self, path: str) -> Module:
        """One of them, without a look at the others."""
        module = self._modules[path]
        self.reading.mask |= module.bit
        return module

    def function(self, path: str, label: str) -> Function | None:
        """The function of that label in a file."""
        found = self.file(path).labelled.get(label)
        return found if isinstance(found, Function) else None

    @property
    def packages(self) -> list[list[str]]:
        """The packages, and those in which the service is started: with the paths of the files, this says where names lead."""
        return [sorted(self._roots.packages), sorted(self._roots.started)]

    @classmethod
    def at(cls, root: Path) -> Project:
        """The project below a directory. Files are read, nothing is run."""
        sources: dict[str, bytes] = {}
        unreadable: dict[str, str] = {}
        for path in locate.python_files(root, unreadable):
            file = root / path
            try:
                if locate.too_large(file):
                    unreadable[path] = "larger than 4 MiB: generated data is not read"
                else:
                    sources[path] = file.read_bytes()
            except OSError as error:
                unreadable[path] = error.strerror or str(error)
        project = cls(sources, root=root)
        project.unreadable.update(unreadable)
        project.digests = {path: hashlib.sha256(source).hexdigest() for path, source in sources.items()}
        return project

    def changed(self, texts: Mapping[str, str]) -> Project:
        """The same project with other texts of some of its files. Nothing is read again, and what is the same is shared."""
        now = {path: encoded(texts.get(path, module.text)) for path, module in self.modules.items()}
        kept = {path: module for path, module in self.modules.items() if path not in texts}
        other = Project(now, root=self.root, files=self._files, kept=kept)
        other.unreadable.update({path: why for path, why in self.unreadable.items() if path not in texts})
        same = {path for path, module in kept.items() if other.modules.get(path) is module}
        other.faults.update({path: why for path, why in self.faults.items() if path in same})
        return other

    @property
    def readable(self) -> list[Module]:
        """The modules that parse; the others are in `unreadable` from now on."""
        self.reading.mask |= EVERYTHING
        return self._readable

    @cached_property
    def _readable(self) -> list[Module]:
        return [module for module in self.modules.values() if self.reads(module)]

    @property
    def service(self) -> list[Module]:
        """The modules that run in production, as far as their place tells."""
        self.reading.mask |= EVERYTHING
        return self._service

    @cached_property
    def _service(self) -> list[Module]:
        return [module for module in self.modules.values() if module.is_service and self.reads(module)]

    def calling(self, *names: str) -> list[Module]:
        """The modules of the service that call something of one of these names."""
        found = [module for module in self._service if not module.calls_by_name.names.isdisjoint(names)]
        for module in found:
            self.reading.mask |= module.bit
        self.reading.mask |= CALLED
        return found

    def reads(self, module: Module) -> bool:
        """The module parses. One that does not is in `unreadable` from now on."""
        if module.path not in self.faults:
            try:
                module.indexed()
                self.faults[module.path] = None
            except UnparsableError as error:
                self.faults[module.path] = str(error)
        fault = self.faults[module.path]
        if fault is not None:
            self.unreadable[module.path] = fault
        return fault is None

    def line(self, path: str, number: int) -> str:
        """One line of a file, counted from 1; empty when the project has no such line. Any file below the root will do."""
        module = self.modules.get(path)
        if module is not None:
            lines = module.lines
        elif path in self._files:
            lines = self._files[path].split("\n")
        elif self.root is not None and path and not path.startswith("/") and ".." not in path.split("/"):
            file = self.root / path
            lines = file.read_text(encoding="utf-8", errors="replace").split("\n") if file.is_file() else []
        else:
            lines = []
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def find(self, name: str, importer: Module) -> Module | None:
        """The project's module of that dotted name, as a file sees it: the nearest import root wins. None: not ours."""
        roots = self._roots.of(importer.path)
        key = (name, *roots)
        if key not in self._found:
            self._found[key] = self._find(name, roots)
        found = self._found[key]
        if found is not None:
            self.reading.mask |= found.bit
        return found

    def _find(self, name: str, roots: Iterable[str]) -> Module | None:
        module = self._at(name, roots)
        return module if module is not None and self.reads(module) else None

    def _at(self, name: str, roots: Iterable[str]) -> Module | None:
        """The module of that name, which may not parse."""
        relative = name.replace(".", "/")
        for root in [*roots, *self._roots.elsewhere(name.partition(".")[0])]:
            base = f"{root}/{relative}" if root else relative
            # Python takes the package where a file of the same name lies beside it.
            module = self._modules.get(f"{base}/__init__.py") or self._modules.get(f"{base}.py")
            if module is not None:
                return module
        return None

    def has_package(self, name: str, importer: Module) -> bool:
        """A directory of that dotted name holds files of the project, with or without `__init__.py`.

        A top-level directory without one, such as Alembic's own `alembic/`, is no package where a library has that name.
        """
        if "." not in name:
            return False
        relative = name.replace(".", "/")
        roots = [*self._roots.of(importer.path), *self._roots.elsewhere(name.partition(".")[0])]
        return any((f"{root}/{relative}" if root else relative) in self._roots.directories for root in roots)

    def files(self, *names: str) -> list[tuple[str, str]]:
        """The text of files with one of these names, in the root and one or two levels below: configuration, not code."""
        return self._others.answer("files", *names)

    def glob(self, *patterns: str) -> list[tuple[str, str]]:
        """The text of files that match one of these patterns from the root, hidden ones too: what runs and ships the code."""
        return self._others.answer("glob", *patterns)

    @property
    def is_repository(self) -> bool:
        """The checked directory is the root of its repository, so what is not there is nowhere."""
        return bool(self._others.answer("repository"))

    @property
    def asked(self) -> dict[Question, str]:
        """What was asked about other files, with a digest of each answer."""
        return self._others.asked

    def ask(self, *question: str) -> str:
        """The digest of the answer to a question about other files, as it stands in `asked`."""
        self._others.answer(*question)
        return self.asked[question]


def _above(path: str) -> Iterator[str]:
    """The directories in which a file lies, nearest first and the root, which is empty, last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


class _Roots:
    """The directories from which absolute imports start, for each file.

    A directory is a package, and so no such root, when it has an `__init__.py` or when some file imports it by name, unless it
    is that of a distribution: `common/common/__init__.py`. So is what lies below a package, unless its name is no identifier:
    nobody can import that. A package is one as well, after all others, when files in it import
    what lies in it without its name: the service is started there.
    """

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self.directories: set[str] = {""}
        for path in sources:
            self.directories.update(_above(path))
        written = {path: {name.decode() for name in _IMPORTED.findall(b"\n" + source)} for path, source in sources.items()}
        imported = {name.partition(".")[0] for names in written.values() for name in names}
        self.packages = {d for d in self.directories if f"{d}/__init__.py" in sources}
        named = {d: d.rpartition("/")[2] for d in self.directories if d}
        self.packages |= {
            d
            for d, name in named.items()
            if name in imported
            and name not in {"src", "lib"}
            and (name not in sys.stdlib_module_names or self._holds(d, written, sources))
            # The folder of a distribution has the name of the package that lies in it.
            and f"{d}/{name}/__init__.py" not in sources
            and f"{d}/src/{name}/__init__.py" not in sources
        }
        self.packages |= {d for d in self.directories if d.rpartition("/")[2] == "src" and "src" in imported}
        self.packages |= {d for d in self.directories if self._below_package(d)}
        self.started = set(self._started_in(sources, written))
        self._tops: dict[str, list[str]] = {}
        for path in sources:
            root = self.of(path)[0]
            top = path[len(root) + 1 if root else 0 :].partition("/")[0].removesuffix(".py")
            if root not in self._tops.setdefault(top, []):
                self._tops[top].append(root)

    def _holds(self, directory: str, written: Mapping[str, set[str]], sources: Mapping[str, bytes]) -> bool:
        """Something is imported from it: `import platform` means Python's own, `from platform.web import app` may not."""
        start = f"{directory.rpartition('/')[2]}."
        inner = {name.split(".")[1] for names in written.values() for name in names if name.startswith(start)}
        return any(f"{directory}/{name}" in self.directories or f"{directory}/{name}.py" in sources for name in inner)

    def _below_package(self, directory: str) -> bool:
        """It lies in a package, and each name from there can be imported: `web-api` in `services` cannot, and starts anew."""
        while directory and directory.rpartition("/")[2].isidentifier():
            directory = directory.rpartition("/")[0]
            if directory in self.packages:
                return True
        return False

    def _started_in(self, sources: Mapping[str, bytes], written: Mapping[str, set[str]]) -> Iterator[str]:
        """The packages in which files import modules that lie in it: `api.routes` and `core.config`, or `app.api` and `app.db`.

        One module alone may be that of a library after which a package of the project is named, and so may those of one
        package of which most are not there.
        """
        tops = {directory.rpartition("/")[2] for directory in self.packages}
        found: dict[str, dict[str, set[str]]] = {}
        missing: dict[tuple[str, str], set[str]] = {}
        for path, names in written.items():
            inner = [name for name in names if "." in name and name.partition(".")[0] in tops]
            for base in _above(path) if inner else ():
                for name in inner if base in self.packages else ():
                    top, file = name.partition(".")[0], f"{base}/{name.replace('.', '/')}"
                    if f"{file}.py" in sources or f"{file}/__init__.py" in sources:
                        found.setdefault(base, {}).setdefault(top, set()).add(name)
                    elif file not in self.directories:
                        missing.setdefault((base, top), set()).add(name)
        for base, named in found.items():
            if len(named) > 1 or any(len(names) > max(1, len(missing.get((base, top), ()))) for top, names in named.items()):
                yield base

    def of(self, path: str) -> list[str]:
        """The roots that a file's imports are tried from, nearest first."""
        found, started = [], []
        directory = path.rpartition("/")[0]
        while True:
            if directory not in self.packages or not directory:
                found.append(directory)
            elif directory in self.started:
                started.append(directory)
            if not directory:
                return found + started
            directory = directory.rpartition("/")[0]

    def elsewhere(self, top: str) -> list[str]:
        """Roots in other parts of the tree that hold this top-level name: several distributions in one repository."""
        return self._tops.get(top, [])

    def name_of(self, path: str) -> str:
        """The dotted name of a file below its nearest root."""
        root = self.of(path)[0]
        inside = path[len(root) + 1 if root else 0 :].removesuffix(".py").removesuffix("/__init__")
        return "" if inside == "__init__" else inside.replace("/", ".")
