"""The facts that a service settles before code (PRACTICES 0): what each is, may be, and is by default.

They stand in `[tool.fastness]` of the service's `pyproject.toml`. Nothing here reads a project or asks anyone.
"""

from __future__ import annotations

from dataclasses import dataclass

Value = str | int | list[str]

ISOLATION = {"sqlite": "serializable", "mysql": "repeatable-read", "none": "none", "mongodb": "none"}
"""The isolation level that a database gives unless told otherwise, where that is not read committed."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact.

    Attributes:
        key: in `[tool.fastness]`.
        question: as it is asked.
        default: for when nothing was detected. Its type is the fact's type.
        choices: the only values (of a list: the known ones); empty when any will do.
        least: the smallest number.
    """

    key: str
    question: str
    default: Value
    choices: tuple[str, ...] = ()
    least: int = 0

    def parse(self, text: str) -> Value:
        """The value of an answer typed by a person; raises ValueError, which says what an answer looks like."""
        text = text.strip()
        if isinstance(self.default, list):
            names = [name.strip().lower() for name in text.split(",")]
            value: Value = [name for name in dict.fromkeys(names) if name and name != "none"]
        elif isinstance(self.default, int):
            try:
                value = int(text)
            except ValueError:
                raise ValueError(self.expected()) from None
        else:
            value = text.lower()
        problem = self.problem(value)
        if problem:
            raise ValueError(problem)
        return value

    def problem(self, value: object) -> str | None:
        """Why `value` cannot be this fact's; None when it can."""
        if isinstance(self.default, list):
            fine = isinstance(value, list) and all(isinstance(name, str) and name for name in value)
            fine = fine and (not self.choices or set(value) <= set(self.choices))  # type: ignore[call-overload]
        elif isinstance(self.default, int):
            fine = isinstance(value, int) and not isinstance(value, bool) and value >= self.least
        else:
            fine = isinstance(value, str) and value in self.choices
        return None if fine else self.expected()

    def expected(self) -> str:
        """What a value looks like, for people."""
        if isinstance(self.default, list):
            return f"any of {', '.join(self.choices)}, or none" if self.choices else "names separated by commas, or none"
        if isinstance(self.default, int):
            return f"a whole number, {self.least} or more"
        return f"one of {', '.join(self.choices)}"


FACTS = (
    Fact(
        key="persistence",
        question="Which database holds the service's data?",
        default="none",
        choices=("none", "sqlite", "postgresql", "mysql", "mssql", "oracle", "mongodb"),
    ),
    Fact(
        key="isolation",
        question="Which isolation level do its transactions need?",
        default="read-committed",
        choices=("none", "read-committed", "repeatable-read", "serializable"),
    ),
    Fact(key="replicas", question="How many replicas run?", default=1, least=1),
    Fact(key="max_replicas", question="How many at most, when they scale?", default=1, least=1),
    Fact(key="surge", question="How many more run while a release rolls out?", default=1),
    Fact(key="processes", question="How many server processes does a replica run?", default=1, least=1),
    Fact(key="workers", question="How many worker processes run beside them, over all replicas?", default=0),
    Fact(
        key="auth",
        question="How do callers prove who they are? (several: separate by commas)",
        default=[],
        choices=("jwt", "api-key", "session", "basic", "mtls", "gateway"),
    ),
    Fact(key="compliance", question="Which rules apply to its data? (gdpr, hipaa, pci-dss, soc2 ...)", default=[]),
    Fact(
        key="platform",
        question="Where does it run?",
        default="container",
        choices=("kubernetes", "container", "paas", "serverless", "vm"),
    ),
    Fact(
        key="release_cadence",
        question="How often is it released?",
        default="weekly",
        choices=("continuous", "daily", "weekly", "monthly", "on-demand"),
    ),
    Fact(
        key="sensitivity",
        question="What matters more for endpoints without an SLO?",
        default="latency",
        choices=("latency", "throughput"),
    ),
)
