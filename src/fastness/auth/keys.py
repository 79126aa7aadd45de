"""Where the keys that verify tokens come from: the seam, and sets that the service holds itself. Fetched sets are in `jwks`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fastness.auth._jose import Key


class KeySource(Protocol):
    """Verification keys, looked up for each token."""

    async def find(self, kid: str | None, algorithm: str, /) -> Key | None:
        """The key with that id which fits the algorithm, or None; raises `Unavailable` when there are no keys to look in."""
        ...


class StaticKeys:
    """A key set that changes only with a restart: for tests, development, and issuers that hand out their keys as a file.

    Args:
        document: a JWK Set (RFC 7517) as a mapping. Unlike a fetched one, it may hold shared secrets of 32 bytes or more.

    Raises:
        ValueError: the document is not a JWK Set, or one of its keys cannot be used.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        from fastness.auth._jose import KeyTable

        self._table = KeyTable(document, symmetric=True)
        if self._table.skipped:
            raise ValueError(f"some keys of the set cannot be used: {'; '.join(self._table.skipped)}")

    @classmethod
    def from_file(cls, path: str | Path) -> StaticKeys:
        """The key set in a JSON file. Raises OSError when it cannot be read, ValueError as the constructor does."""
        try:
            return cls(json.loads(Path(path).read_text("utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def serves(self, algorithms: Iterable[str]) -> bool:
        """Whether some key can verify one of `algorithms`."""
        return self._table.serves(algorithms)

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        return self._table.find(kid, algorithm)
