"""How a command ends when it does not end well: one line for the person, one exit code for the script."""

from __future__ import annotations

from pathlib import Path

OK = 0
FAILED = 1
CANNOT_RUN = 2


class CommandError(Exception):
    """Ends a command. The message is one line that says what is wrong, where, and what to do.

    Attributes:
        code: exit code; 2 when the command could not do its work, 1 when the work was done and failed.
    """

    def __init__(self, message: str, *, code: int = CANNOT_RUN) -> None:
        super().__init__(message)
        self.code = code


def expect_directory(path: Path) -> None:
    """What a command is to work on is there.

    Raises:
        CommandError: there is no such directory.
    """
    if not path.is_dir():
        raise CommandError(f"{path} is not a directory: name the project's root")
