"""Business errors. What each becomes on the wire is one table: `app.api.problems`."""


class DomainError(Exception):
    """A rule of the business said no. The text is read by clients: no secrets, no internals."""


class NotFound(DomainError):
    """There is no such thing for this tenant. Another tenant's things are not told apart from missing ones."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no {what} with this id.")


class VersionMismatch(DomainError):
    """The caller would overwrite a change that it has not seen."""

    def __init__(self, what: str, *, current: int) -> None:
        super().__init__(f'This {what} has changed since you read it: its version is now "{current}". Read it again.')
