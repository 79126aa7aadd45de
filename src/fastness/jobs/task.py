"""Tasks: plain async functions, declared with how they are run. Their arguments are JSON, checked by their annotations."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import (
    Annotated,
    Any,
    Generic,
    NamedTuple,
    ParamSpec,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic_core import PydanticSerializationError

from fastness.jobs.model import Job
from fastness.jobs.retry import Backoff, RetryPolicy

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Inject:
    __slots__ = ()


Injected = Annotated[T, _Inject()]
"""A parameter that the worker fills: `async def deliver(..., sender: Injected[Sender])`, `Worker(provide={Sender: sender})`."""

# What `Jobs.enqueue` takes for itself.
RESERVED = frozenset({"uow", "task", "key", "lock", "delay", "priority", "queue"})

MAX_ARGUMENTS = 65_536
"""Bytes of JSON: what is larger belongs in a table, and its id into the job."""

_MAX_NAME = 128
# So that no parameter is named like something that Pydantic's models have.
_PREFIX = "argument_"
_DEFAULT = Backoff()
# What JSON has no form for comes back as what it was.
_CONFIG = ConfigDict(extra="forbid", ser_json_inf_nan="strings", ser_json_bytes="base64", val_json_bytes="base64")


class ArgumentsError(ValueError):
    """The arguments are not what the task takes. The text names them and quotes no value."""


class TaskOptions(NamedTuple):
    """How a task is run.

    Attributes:
        queue: names the queue; a worker takes jobs of all queues or of some.
        retry: when a failed attempt is followed by another.
        timeout: seconds that an attempt may take.
        unique: while a job waits for its first attempt, enqueueing one with the same arguments gives that one.
        priority: of jobs that could start, the one with the higher number starts first.
    """

    queue: str = "default"
    retry: RetryPolicy = _DEFAULT
    timeout: float = 60.0
    unique: bool = False
    priority: int = 0


class Task(Generic[P, R]):
    """A function that can be run as a job. Calling it calls the function.

    Attributes:
        name: what stored jobs refer to; it outlives renames when it is given.
        options: how it is run.
        injected: parameters that the worker fills, by what they are annotated with.
        job_parameter: the parameter that gets the `Job`, if any.
    """

    def __init__(self, function: Callable[P, Awaitable[R]], *, name: str | None, options: TaskOptions) -> None:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"task: {function!r} is not an async function")
        self.function = function
        self.name = name or f"{function.__module__}.{function.__qualname__}"
        if len(self.name) > _MAX_NAME or "<locals>" in self.name:
            raise ValueError(
                f"task: the name {self.name!r} is longer than {_MAX_NAME} characters or that of an inner function; give name="
            )
        if not 0 < options.timeout < math.inf:
            raise ValueError(f"task: timeout={options.timeout!r} is not a positive number of seconds")
        if not 0 < len(options.queue) <= _MAX_NAME:
            raise ValueError(f"task: queue={options.queue!r} is empty or longer than {_MAX_NAME} characters")
        if options.retry.attempts < 1:
            raise ValueError(f"task: retry={options.retry!r} makes no attempt")
        self.options = options
        self.injected: dict[str, Any] = {}
        self.job_parameter: str | None = None
        self.__doc__ = function.__doc__
        self._arguments = self._read_signature()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def dump(self, arguments: Mapping[str, Any]) -> str:
        """`arguments` as JSON.

        Raises:
            ArgumentsError: they are not what the function takes, or more than a job should carry.
        """
        try:
            model = self._arguments.model_validate(dict(arguments))
            text = model.model_dump_json(by_alias=True, include=model.model_fields_set)
        except ValidationError as error:
            raise ArgumentsError(f"{self.name}: {_describe(error)}") from None
        except PydanticSerializationError:
            raise ArgumentsError(f"{self.name}: an argument cannot be written as JSON") from None
        if len(text.encode()) > MAX_ARGUMENTS:
            raise ArgumentsError(f"{self.name}: the arguments are larger than {MAX_ARGUMENTS} bytes; store them and give an id")
        if "\\u0000" in text:
            raise ArgumentsError(f"{self.name}: the arguments contain a NUL character, which PostgreSQL cannot store")
        return text

    def load(self, text: str) -> dict[str, Any]:
        """The function's arguments out of JSON.

        Raises:
            ArgumentsError: the function takes others now.
        """
        try:
            model = self._arguments.model_validate_json(text)
        except ValidationError as error:
            raise ArgumentsError(f"{self.name}: {_describe(error)}") from None
        return {name.removeprefix(_PREFIX): getattr(model, name) for name in model.model_fields_set}

    def _read_signature(self) -> type[BaseModel]:
        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(self.function).parameters.values():
            where = f"task {self.name}: parameter {parameter.name!r}"
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TypeError(f"{where} cannot be given by name")
            if parameter.name not in hints:
                raise TypeError(f"{where} has no annotation")
            hint = hints[parameter.name]
            if hint is Job:
                self.job_parameter = parameter.name
            elif get_origin(hint) is Annotated and any(isinstance(extra, _Inject) for extra in hint.__metadata__):
                self.injected[parameter.name] = get_args(hint)[0]
            elif parameter.name in RESERVED:
                raise TypeError(f"{where} has a name that enqueue takes for itself ({', '.join(sorted(RESERVED))}): rename it")
            else:
                # A default is the function's own affair: what was not given is not stored.
                default = ... if parameter.default is parameter.empty else None
                fields[_PREFIX + parameter.name] = (hint, Field(default, alias=parameter.name))
        try:
            return create_model("arguments", __config__=_CONFIG, **fields)
        except PydanticUserError as error:
            raise TypeError(
                f"task {self.name}: {str(error).splitlines()[0]} "
                "What is not data is given by the worker: annotate it Injected[...]"
            ) from None


def _describe(error: ValidationError) -> str:
    # Without the values: they may be personal, and the text is stored.
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in faults[:5])


@overload
def task(function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    queue: str = "default",
    retry: RetryPolicy = ...,
    timeout: float = 60.0,
    unique: bool = False,
    priority: int = 0,
) -> Callable[[Callable[P, Awaitable[R]]], Task[P, R]]: ...


def task(
    function: Callable[..., Awaitable[Any]] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = "default",
    retry: RetryPolicy | None = None,
    timeout: float = 60.0,
    unique: bool = False,
    priority: int = 0,
) -> Any:
    """Declare an async function as a task: `@task` or `@task(queue="mail", timeout=10)`.

    Its parameters are given by name when it is enqueued. They are JSON: each is checked and converted by its annotation, with
    Pydantic, when it is enqueued and again when it runs. Two kinds are filled by the worker: one annotated `Job` gets the job
    that is running, one annotated `Injected[Sender]` what the worker provides for `Sender`.

    A task runs at least once. What it does to the database can be made to happen exactly once with `once`; what it does
    elsewhere should carry a key by which the other side knows a repetition.

    Args:
        name: what stored jobs refer to, by default module and function. Give one to be free to rename the function.
        queue: see `TaskOptions`, as for all that follow.
        retry: by default five attempts within about two minutes, `Backoff()`.
        timeout: seconds for one attempt.
        unique: of the same arguments, only one job waits.
        priority: higher starts first.

    Raises:
        TypeError: the function is not async, or a parameter is not something that can be stored.
        ValueError: an option is out of range.
    """

    def declare(inner: Callable[..., Awaitable[Any]]) -> Task[..., Any]:
        options = TaskOptions(queue=queue, retry=retry or _DEFAULT, timeout=timeout, unique=unique, priority=priority)
        return Task(inner, name=name, options=options)

    return declare if function is None else declare(function)
