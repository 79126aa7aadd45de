"""From `module:attribute` to a FastAPI app, or to one sentence that says why there is none."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, Iterator

_ROOT = os.getcwd()  # the project, before its code can go elsewhere
_DEEPEST = 10
_WRAPPED = ("app", "other_asgi_app", "_app", "asgi_app", "application")


class CannotLoadError(Exception):
    """There is no app to examine; the message is one sentence without full stop."""


class Loaded:
    """An app, with what surrounds it.

    Attributes:
        app: the `FastAPI`.
        outer: what the server would call: the app, or ASGI middleware around it.
        made: where objects were made, as `(file, line)` by `id`: apps, and entries of middleware lists.
        options: by `id` of an app, the names of what its constructor was given.
        main: the app that serves most operations, this one or one that is mounted in it; `describe` finds it.
    """

    def __init__(self, app: Any, outer: Any, made: dict[int, tuple[str, int]], options: dict[int, list[str]]) -> None:
        self.app = app
        self.outer = outer
        self.made = made
        self.options = options
        self.main = app


def load(target: str, *, factory: bool) -> Loaded:
    """Import the app that `module:attribute` names, or call the function that makes it.

    Raises:
        CannotLoadError: there is none, or making it failed.
    """
    try:
        import fastapi
    except ImportError:
        raise CannotLoadError(
            "FastAPI is not installed for %s: name the project's interpreter with --python" % sys.executable
        ) from None
    except BaseException as error:
        raise CannotLoadError("FastAPI cannot be imported by %s: %s" % (sys.executable, _said(error))) from error
    made: dict[int, tuple[str, int]] = {}
    options: dict[int, list[str]] = {}
    module, _, attribute = target.partition(":")
    with _remembering(fastapi, made, options):
        found = _attribute(_imported(module), module, attribute or ("create_app" if factory else "app"), fastapi.FastAPI)
        if factory or _is_factory(found, fastapi.FastAPI):
            found = _called(found, target)
    app = _unwrapped(found, fastapi.FastAPI)
    if app is None:
        raise CannotLoadError("%s is not a FastAPI app but %s" % (target, _described(found)))
    return Loaded(app, found, made, options)


def _imported(name: str) -> Any:
    top = name.partition(".")[0]
    source = os.path.join(sys.path[0], "src")
    if not _holds(sys.path[0], top) and _holds(source, top):
        sys.path.insert(0, source)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name + ".").startswith(error.name + "."):
            raise CannotLoadError("there is no module %s here: name the app with --app module:attribute" % error.name) from None
        hint = ": is it installed for %s? --python names another" % sys.executable
        raise CannotLoadError("importing %s failed: %s%s%s" % (name, _said(error), _where(error), hint)) from error
    except BaseException as error:
        raise CannotLoadError("importing %s failed: %s%s" % (name, _said(error), _where(error))) from error


def _holds(directory: str, top: str) -> bool:
    return os.path.isdir(os.path.join(directory, top)) or os.path.isfile(os.path.join(directory, top + ".py"))


def _attribute(found: Any, module: str, attribute: str, app: type) -> Any:
    holder = found
    for name in attribute.split("."):
        try:
            holder = getattr(holder, name)
        except AttributeError:
            others = sorted(name for name, value in vars(found).items() if isinstance(value, app))
            hint = "; it has %s:%s" % (module, others[0]) if others else ""
            raise CannotLoadError("%s has no %s%s" % (module, attribute, hint)) from None
        except BaseException as error:
            raise CannotLoadError("reading %s of %s failed: %s" % (attribute, module, _said(error))) from error
    return holder


def _is_factory(found: Any, app: type) -> bool:
    return not isinstance(found, app) and (inspect.isfunction(found) or inspect.ismethod(found) or isinstance(found, partial))


def _called(found: Any, target: str) -> Any:
    if not callable(found):
        raise CannotLoadError("%s is no factory but %s" % (target, _described(found)))
    if inspect.iscoroutinefunction(found):
        raise CannotLoadError("%s is a coroutine function, which no server can call for an app" % target)
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(needed) == 3 and not inspect.isclass(found) and needed[0] == "scope":
        raise CannotLoadError("%s is an ASGI function, not a FastAPI app" % target)
    if needed:
        raise CannotLoadError(
            "%s needs arguments (%s): name an app, or a function without arguments" % (target, ", ".join(needed))
        )
    try:
        return found()
    except BaseException as error:
        raise CannotLoadError("calling %s failed: %s%s" % (target, _said(error), _where(error))) from error


def _unwrapped(found: Any, app: type) -> Any:
    """The app inside of ASGI middleware that was put around it by hand."""
    for _ in range(_DEEPEST):
        if isinstance(found, app):
            return found
        try:
            inner = next((value for name in _WRAPPED if (value := getattr(found, name, None)) is not None), None)
        except BaseException:
            return None
        if inner is None:
            return None
        found = inner
    return None


@contextmanager
def _remembering(fastapi: Any, made: dict[int, tuple[str, int]], options: dict[int, list[str]]) -> Iterator[None]:
    """Let apps and middleware entries note the line that makes them: nothing in FastAPI knows it afterwards."""
    from starlette.middleware import Middleware

    kept: list[Any] = []  # alive, so that no id is used twice

    def noting(original: Any) -> Any:
        @wraps(original)
        def noted(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            if id(self) not in made:
                kept.append(self)
                made[id(self)] = _caller(self)
                options[id(self)] = sorted(name for name, value in kwargs.items() if value is not None)

        return noted

    classes: list[Any] = [fastapi.FastAPI, Middleware]
    originals = [cls.__init__ for cls in classes]
    for cls, original in zip(classes, originals):
        cls.__init__ = noting(original)
    try:
        yield
    finally:
        for cls, original in zip(classes, originals):
            cls.__init__ = original


def _caller(made: Any) -> tuple[str, int]:
    """The line that makes an object: outside of FastAPI, and of the constructors of its own subclasses."""
    frame: Any = sys._getframe(2)
    while frame is not None and (_is_framework(frame.f_globals) or _constructs(frame, made)):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("", 0)


def _constructs(frame: Any, made: Any) -> bool:
    first = frame.f_code.co_varnames[:1]
    return frame.f_code.co_name == "__init__" and bool(first) and frame.f_locals.get(first[0]) is made


def _is_framework(names: dict[str, Any]) -> bool:
    return names is globals() or str(names.get("__name__")).partition(".")[0] in ("fastapi", "starlette")


def _said(error: BaseException) -> str:
    """An exception in one line. What Pydantic's carries beside the names of fields may be a secret."""
    if isinstance(error, SystemExit):
        said = error.code if isinstance(error.code, str) else "status %s" % (0 if error.code is None else error.code)
        return "it exits: %s" % " ".join(said.split())[:500]
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    fields = _fields(error)
    if fields:
        return "%s for %s: %s" % (type(error).__name__, getattr(error, "title", "settings"), ", ".join(fields))
    lines = str(error).strip().splitlines()
    return "%s: %s" % (type(error).__name__, lines[0][:300]) if lines else type(error).__name__


def _fields(error: BaseException) -> list[str]:
    errors = getattr(error, "errors", None)
    if not callable(errors) or type(error).__module__.partition(".")[0] not in ("pydantic", "pydantic_core"):
        return []
    try:
        return [".".join(str(part) for part in one["loc"]) or one["type"] for one in errors()][:10]
    except Exception:
        return []


def _where(error: BaseException) -> str:
    """The last place of the project that an exception came through."""
    root = _ROOT + os.sep
    frames = traceback.extract_tb(error.__traceback__)
    places = [f for f in frames if f.filename.startswith(root) and "site-packages" not in f.filename]
    if not places or places[-1].lineno is None:
        return ""
    return " (%s:%d)" % (places[-1].filename[len(root) :], places[-1].lineno)


def _described(found: Any) -> str:
    return "the class %s" % found.__name__ if inspect.isclass(found) else "a %s" % type(found).__name__
