"""What a project's files say about the facts. They are read as text or syntax trees; none of its code runs.

A detection is *binding* when the file leaves no other reading (a manifest that says `replicas: 3`): a fact that says
otherwise is contradicted. Else it is only proposed.
"""

from __future__ import annotations

import ast
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastness.tool.preflight import dependencies as _dependencies
from fastness.tool.preflight.dependencies import Dependencies
from fastness.tool.preflight.facts import Value

_SKIPPED = {"node_modules", "site-packages", "venv", "env", "__pycache__", "build", "dist", "tests", "test"}
_MOST_FILES = 5000
_LARGEST = 1 << 20  # bytes of a file that are read

_DRIVERS = {
    "postgresql": ("psycopg", "asyncpg", "psycopg2", "psycopg2-binary", "pg8000"),
    "mysql": ("aiomysql", "asyncmy", "pymysql", "mysqlclient", "mysql-connector-python"),
    "mssql": ("pyodbc", "aioodbc", "pymssql"),
    "oracle": ("oracledb", "cx-oracle"),
    "mongodb": ("motor", "pymongo", "beanie"),
    "sqlite": ("aiosqlite",),
}
_SCHEME = re.compile(r"\b(postgres|mysql|mariadb|mssql|oracle|mongodb|sqlite)(?:ql)?(?:\+\w+)?://")
_SCHEMES = {"postgres": "postgresql", "mariadb": "mysql"}
_ISOLATION = re.compile(r"isolation_level\s*=\s*['\"](READ COMMITTED|REPEATABLE READ|SERIALIZABLE)['\"]")
_AUTH_NAMES = {
    "fastapi.security.HTTPBearer": "jwt",
    "fastapi.security.OAuth2PasswordBearer": "jwt",
    "fastapi.security.OAuth2AuthorizationCodeBearer": "jwt",
    "fastapi.security.OpenIdConnect": "jwt",
    "fastapi.security.APIKeyHeader": "api-key",
    "fastapi.security.APIKeyQuery": "api-key",
    "fastapi.security.APIKeyCookie": "session",
    "fastapi.security.HTTPBasic": "basic",
    "fastness.auth.JWTVerifier": "jwt",
    "fastness.auth.APIKeyVerifier": "api-key",
    "starlette.middleware.sessions.SessionMiddleware": "session",
}
_AUTH_MODULES = {"jwt": "jwt", "jose": "jwt", "joserfc": "jwt", "authlib": "jwt", "fastapi_users": "jwt"}
_PLATFORM_FILES = {
    "paas": ("Procfile", "fly.toml", "render.yaml", "app.yaml", "railway.toml", "railway.json", ".platform.app.yaml"),
    "serverless": ("serverless.yml", "serverless.yaml", "vercel.json", "samconfig.toml"),
}
_WORKERS = ("celery", "arq", "procrastinate", "dramatiq", "rq", "taskiq", "huey", "apscheduler")
_CI = (".github/workflows", ".gitlab-ci.yml", ".circleci", "azure-pipelines.yml", "Jenkinsfile", "bitbucket-pipelines.yml")
_DEPLOYMENT = re.compile(r"^kind:\s*Deployment\b", re.MULTILINE)
_AUTOSCALER = re.compile(r"^kind:\s*HorizontalPodAutoscaler\b", re.MULTILINE)
_PROCESSES = re.compile(r"(?:--workers[=\s\",']+|WEB_CONCURRENCY[=:\s\"']+|gunicorn\b[^\n]*?\s-w\s*)(\d+)")
_PYTHON_IMAGE = re.compile(r"^FROM\s+(?:\S+/)?python:(\d+\.\d+)", re.MULTILINE | re.IGNORECASE)
_REPORTED = ("fastapi", "pydantic", "sqlalchemy", "uvicorn", "alembic")


@dataclass(frozen=True, slots=True)
class Detected:
    """What the files say about one fact.

    Attributes:
        value: the value to propose.
        evidence: the files or dependencies that say so.
        allowed: the values that do not contradict the files; None when any may stand.
    """

    value: Value
    evidence: str
    allowed: tuple[str | int, ...] | None = None

    def contradicts(self, value: object) -> bool:
        """The fact's `value` and the files cannot both be right."""
        if isinstance(self.value, list):
            return isinstance(value, list) and not set(self.value) <= set(value)
        return self.allowed is not None and value not in self.allowed


@dataclass(frozen=True, slots=True)
class Detection:
    """Everything found in a project.

    Attributes:
        facts: by the fact's key; only those that the files speak of.
        report: (what, what was found), for people.
        contradictions: files that contradict each other.
        empty: nothing of a Python project was found.
    """

    facts: dict[str, Detected]
    report: list[tuple[str, str]]
    contradictions: list[str]
    empty: bool


@dataclass(frozen=True, slots=True)
class _Sources:
    python: dict[str, str]
    other: dict[str, str]


def detect(directory: Path) -> Detection:
    """Read the project in `directory`."""
    dependencies = _dependencies.read(directory)
    sources = _read_sources(directory)
    facts = {
        "persistence": _persistence(dependencies, sources),
        "isolation": _isolation(sources),
        "auth": _auth(sources),
        "platform": _platform(directory, dependencies, sources),
        "processes": _processes(sources),
        **_scale(sources),
    }
    found = {key: detected for key, detected in facts.items() if detected is not None}
    image = next((match[1] for text in sources.other.values() if (match := _PYTHON_IMAGE.search(text))), None)
    return Detection(
        facts=found,
        report=_report(directory, dependencies, sources, image),
        contradictions=[*dependencies.unreadable, *_python_contradictions(dependencies.python, image)],
        empty=not (sources.python or dependencies.bounds or dependencies.python),
    )


def _read_sources(directory: Path) -> _Sources:
    python, other = dict[str, str](), dict[str, str]()
    for path in _walk(directory):
        if path.suffix == ".py":
            into = python
        elif (
            path.suffix in {".yaml", ".yml", ".ini", ".toml", ".cfg", ".sh"}
            or path.name.startswith((".env", "Dockerfile", "Containerfile"))
            or path.name in {"Procfile", "Makefile"}
        ):
            into = other
        else:
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            into[path.relative_to(directory).as_posix()] = file.read(_LARGEST)
        if len(python) + len(other) >= _MOST_FILES:
            break
    return _Sources(python=python, other=other)


def _walk(directory: Path) -> Iterator[Path]:
    for root, directories, files in os.walk(directory):
        directories[:] = sorted(
            name
            for name in directories
            if name not in _SKIPPED and not name.startswith(".") and not (Path(root) / name / "pyvenv.cfg").exists()
        )
        yield from (path for name in sorted(files) if (path := Path(root) / name).is_file())


def _persistence(dependencies: Dependencies, sources: _Sources) -> Detected | None:
    found = dict[str, str]()
    for database, drivers in _DRIVERS.items():
        for driver in drivers:
            if driver in dependencies:
                found.setdefault(database, f"dependency {driver}")
    for name, text in {**sources.other, **sources.python}.items():
        for match in _SCHEME.finditer(text):
            found.setdefault(_SCHEMES.get(match[1], match[1]), f"URL in {name}")
    for name, source in sources.python.items():
        if "sqlite3" in source and "import sqlite3" in source:
            found.setdefault("sqlite", f"sqlite3 in {name}")
    if not found:
        return None
    # A project with drivers for both usually develops on SQLite and runs on the server.
    value = next((database for database in _DRIVERS if database in found), "sqlite")
    evidence = "; ".join(f"{database}: {why}" for database, why in found.items())
    return Detected(value=value, evidence=evidence, allowed=tuple(found))


def _isolation(sources: _Sources) -> Detected | None:
    levels = {level for source in sources.python.values() for level in _ISOLATION.findall(source)}
    if len(levels) != 1:
        return None
    return Detected(value=levels.pop().lower().replace(" ", "-"), evidence="isolation_level in the code")


def _auth(sources: _Sources) -> Detected | None:
    found = dict[str, str]()
    for name, source in sources.python.items():
        for imported in _imports(source):
            kind = _AUTH_NAMES.get(imported) or _AUTH_MODULES.get(imported.partition(".")[0])
            if kind is not None:
                found.setdefault(kind, f"{imported} in {name}")
    if not found:
        return None
    return Detected(value=sorted(found), evidence="; ".join(f"{kind}: {why}" for kind, why in sorted(found.items())))


def _imports(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # newer syntax than this interpreter's: its imports stay unknown
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # fastapi.security.http.HTTPBearer is fastapi.security.HTTPBearer
            package = "fastapi.security" if node.module.startswith("fastapi.security") else node.module
            package = "fastness.auth" if node.module.startswith("fastness.auth") else package
            yield from (f"{package}.{alias.name}" for alias in node.names)


def _platform(directory: Path, dependencies: Dependencies, sources: _Sources) -> Detected | None:
    found = dict[str, str]()
    for name, text in sources.other.items():
        if _DEPLOYMENT.search(text) or Path(name).name == "Chart.yaml":
            found.setdefault("kubernetes", name)
    for platform, files in _PLATFORM_FILES.items():
        for file in files:
            if (directory / file).is_file():
                found.setdefault(platform, file)
    if "mangum" in dependencies:
        found.setdefault("serverless", "dependency mangum")
    if found:
        evidence = "; ".join(f"{platform}: {why}" for platform, why in found.items())
        return Detected(value=next(iter(found)), evidence=evidence, allowed=tuple(found))
    # An image runs anywhere: a proposal, not a verdict.
    image = next(
        (
            name
            for name in sources.other
            if Path(name).name.startswith(("Dockerfile", "Containerfile", "compose", "docker-compose"))
        ),
        None,
    )
    return Detected(value="container", evidence=image) if image else None


def _scale(sources: _Sources) -> dict[str, Detected]:
    """Replicas, their maximum and the surge, from Kubernetes manifests."""
    found = dict[str, Detected]()
    replicas = 1
    for name, text in sources.other.items():
        if _DEPLOYMENT.search(text) and (match := re.search(r"^\s*replicas:\s*(\d+)\s*$", text, re.MULTILINE)):
            replicas = int(match[1])
            found["replicas"] = Detected(replicas, name, allowed=(replicas,))
            surge = re.search(r"^\s*maxSurge:\s*[\"']?(\d+)(%?)", text, re.MULTILINE)
            share = "%" if surge is None else surge[2]
            extra = 25 if surge is None else int(surge[1])  # 25 % is Kubernetes' own default
            extra = math.ceil(replicas * extra / 100) if share else extra
            found["surge"] = Detected(extra, name, allowed=(extra,))
    for name, text in sources.other.items():
        if _AUTOSCALER.search(text) and (match := re.search(r"^\s*maxReplicas:\s*(\d+)", text, re.MULTILINE)):
            found["max_replicas"] = Detected(int(match[1]), name, allowed=(int(match[1]),))
    if "replicas" in found and "max_replicas" not in found:
        found["max_replicas"] = Detected(replicas, "no autoscaler", allowed=None)
    return found


def _processes(sources: _Sources) -> Detected | None:
    for name, text in sources.other.items():
        if match := _PROCESSES.search(text):
            return Detected(value=max(1, int(match[1])), evidence=name)
    return None


def _report(directory: Path, dependencies: Dependencies, sources: _Sources, image: str | None) -> list[tuple[str, str]]:
    python = [dependencies.python or "no requires-python", *([f"image {image}"] if image else [])]
    lines = [("python", ", ".join(python))]
    for name in _REPORTED:
        if name in dependencies:
            bound, locked = dependencies.bounds.get(name), dependencies.locked.get(name)
            lines.append((name, f"{bound or 'any version'}, {f'locked at {locked}' if locked else 'not locked'}"))
    workers = [name for name in _WORKERS if name in dependencies]
    workers += [name for name in sources.python if name.endswith("app/worker.py")]
    migrations = [name for name in sources.other if Path(name).name == "alembic.ini"]
    ci = [name for name in _CI if (directory / name).exists()]
    for what, names in (("workers", workers), ("migrations", migrations), ("ci", ci)):
        lines.append((what, ", ".join(names) or "none found"))
    return lines


def _python_contradictions(bound: str | None, image: str | None) -> list[str]:
    lower = re.search(r">=\s*(\d+)\.(\d+)", bound or "")
    if lower is None or image is None:
        return []
    major, minor = map(int, image.split("."))
    if (major, minor) >= (int(lower[1]), int(lower[2])):
        return []
    return [f"the image runs Python {image}, but the project requires {bound}"]
