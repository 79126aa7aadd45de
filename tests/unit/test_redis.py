"""Scripts that run in Redis: how one is learnt, and which error its failures become. The server is a stand-in."""

from typing import Any

import pytest

pytest.importorskip("redis")

from redis.exceptions import NoScriptError

from fastness._redis import Script


class Client:
    """Knows the scripts that it has been sent, and raises `error` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.known: set[str] = set()
        self.calls: list[str] = []

    async def evalsha(self, digest: str, *sent: Any) -> Any:
        self.calls.append("evalsha")
        if self.error is not None:
            raise self.error
        if not self.known:
            raise NoScriptError
        return sent

    async def eval(self, source: str, *sent: Any) -> Any:
        self.calls.append("eval")
        self.known.add(source)
        return sent


class StoreError(Exception):
    """What a store raises."""


async def test_a_script_is_learnt_with_the_first_call() -> None:
    """Its text is sent once; after that its digest is enough. Keys are counted, arguments follow them."""
    client: Any = Client()
    script = Script(client, "return 1")
    assert await script.run(["a", "b"], 7) == (2, "a", "b", 7)
    assert await script.run(["a"], 7, 8) == (1, "a", 7, 8)
    assert client.calls == ["evalsha", "eval", "evalsha"]


async def test_a_failure_is_the_error_that_was_asked_for() -> None:
    """Without one, the library's own passes as it is; with one, its text names the cause."""
    client: Any = Client(ConnectionRefusedError("nobody there"))
    with pytest.raises(ConnectionRefusedError, match="nobody there"):
        await Script(client, "return 1").run([])
    with pytest.raises(StoreError, match="Redis: ConnectionRefusedError: nobody there") as caught:
        await Script(client, "return 1", error=StoreError).run([])
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_time_limit_is_a_time() -> None:
    """No time at all would refuse every call."""
    client: Any = Client()
    with pytest.raises(ValueError, match="time_limit=0"):
        Script(client, "return 1", time_limit=0)
