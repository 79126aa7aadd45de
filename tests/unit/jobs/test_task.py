"""Tasks: what can be declared, and what becomes of their arguments."""

import inspect
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from fastness.jobs import ArgumentsError, Injected, Job, task


class Sender:
    """Something that is not data."""


class Order(BaseModel):
    """A model."""

    number: int
    at: datetime


@task(name="deliver")
async def deliver(
    order: Order, reference: UUID | None = None, *, times: Annotated[int, Field(ge=1)] = 1, job: Job, sender: Injected[Sender]
) -> str:
    """Deliver."""
    return f"{order.number} {times}"


async def nothing() -> None:
    """Do nothing."""


def test_a_parameter_cannot_be_named_like_an_option_of_enqueue() -> None:
    """`key` means the job's key there."""

    async def keyed(key: str) -> None:
        pass

    with pytest.raises(TypeError, match="'key' has a name that enqueue takes"):
        task(name="keyed")(keyed)


def test_the_function_stays_what_it_is() -> None:
    """Calling the task calls the function, with arguments of its own kind."""
    order = Order(number=7, at=datetime.now(UTC))
    coroutine = deliver(order, job=None, sender=Sender())  # type: ignore[arg-type]
    assert inspect.iscoroutine(coroutine)
    with pytest.raises(StopIteration, match="7 1"):
        coroutine.send(None)
    assert deliver.__doc__ == "Deliver."


def test_arguments_go_through_json_and_come_back() -> None:
    """Models, dates and UUIDs arrive as such; what has a default may be left out; what the worker gives is not stored."""
    order, reference = Order(number=7, at=datetime(2026, 1, 2, tzinfo=UTC)), UUID(int=5)
    text = deliver.dump({"order": order, "reference": reference})
    assert text == '{"order":{"number":7,"at":"2026-01-02T00:00:00Z"},"reference":"00000000-0000-0000-0000-000000000005"}'
    assert deliver.load(text) == {"order": order, "reference": reference}
    assert deliver.injected == {"sender": Sender}
    assert deliver.job_parameter == "job"


@task(name="text")
async def text(value: str, number: float = 0) -> None:
    """Take text."""


@given(
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    number=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_text_and_number_survives(value: str, number: float) -> None:
    """Digit by digit and character by character."""
    assert text.load(text.dump({"value": value, "number": number})) == {"value": value, "number": number}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "order: Field required"),
        ({"order": {"number": "secret", "at": "2026-01-01"}}, "order.number: Input should be a valid integer"),
        ({"order": Order(number=1, at=datetime.now(UTC)), "times": 0}, "times: Input should be greater"),
        ({"order": Order(number=1, at=datetime.now(UTC)), "more": "secret"}, "more: Extra inputs are not permitted"),
    ],
)
def test_wrong_arguments_are_named_and_not_quoted(arguments: dict, told: str) -> None:
    """The text is stored with the job: it says which argument, never its value."""
    with pytest.raises(ArgumentsError, match=told) as caught:
        deliver.dump(arguments)
    assert "secret" not in str(caught.value)


def test_stored_arguments_that_do_not_fit_any_more_are_refused() -> None:
    """After a change of the signature, with the same care."""
    with pytest.raises(ArgumentsError, match=r"text: value: Field required; old: Extra inputs"):
        text.load('{"old": "secret"}')


def test_what_cannot_be_a_task_is_refused_when_it_is_declared() -> None:
    """Functions that are not async, parameters that are not data, and names that are no names."""

    def plain() -> None:
        pass

    async def untyped(a) -> None:
        pass

    async def several(*a: int) -> None:
        pass

    async def opaque(sender: Sender) -> None:
        pass

    async def inner() -> None:
        pass

    for function, told in (
        (plain, "not an async function"),
        (untyped, "has no annotation"),
        (several, "cannot be given by name"),
        (opaque, "annotate it Injected"),
    ):
        with pytest.raises(TypeError, match=told):
            task(name="wrong")(function)
    with pytest.raises(ValueError, match="give name="):
        task(inner)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": float("inf")}, {"queue": ""}, {"queue": "a" * 200}, {"name": "a" * 200}]
)
def test_options_have_bounds(options: dict) -> None:
    """And are refused where they are written."""
    with pytest.raises(ValueError):
        task(**options)(nothing)


def test_a_task_is_named_after_its_function() -> None:
    """Unless it is given a name that outlives a rename."""
    assert task(nothing).name == f"{__name__}.nothing"
    assert task(name="n")(nothing).name == "n"


@task(name="odd")
async def odd(number: float, content: bytes) -> None:
    """Take what JSON has no form for."""


def test_what_json_has_no_form_for_comes_back_as_it_was() -> None:
    """Numbers that are none, and bytes; what cannot be written at all is refused without being quoted."""
    assert odd.load(odd.dump({"number": float("inf"), "content": b"\xff\0"})) == {"number": float("inf"), "content": b"\xff\0"}
    with pytest.raises(ArgumentsError):
        text.dump({"value": "\ud800"})
