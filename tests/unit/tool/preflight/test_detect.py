"""What a project's files say about the facts."""

from pathlib import Path

import pytest

from fastness.tool.preflight.detect import Detection, detect


def project(directory: Path, files: dict[str, str]) -> Detection:
    for name, text in {"main.py": "", **files}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return detect(directory)


def test_code_is_never_run(tmp_path: Path) -> None:
    """Code that ends the interpreter when imported is read like any other."""
    found = project(tmp_path, {"main.py": "import os\nos._exit(9)\nfrom fastapi.security import HTTPBearer\n"})
    assert found.facts["auth"].value == ["jwt"]


@pytest.mark.parametrize(
    ("files", "database"),
    [
        ({"requirements.txt": "asyncpg"}, "postgresql"),
        ({"requirements.txt": "psycopg[binary]"}, "postgresql"),
        ({"requirements.txt": "aiomysql"}, "mysql"),
        ({"requirements.txt": "motor"}, "mongodb"),
        ({"requirements.txt": "aiosqlite"}, "sqlite"),
        ({"requirements.txt": "aiosqlite\npsycopg"}, "postgresql"),
        ({"db.py": 'create_engine("sqlite:///./app.db")'}, "sqlite"),
        ({"db.py": "import sqlite3"}, "sqlite"),
        ({".env.example": "DATABASE_URL=postgresql+asyncpg://db/app"}, "postgresql"),
        ({"compose.yaml": "environment:\n  URL: mariadb+pymysql://db/app"}, "mysql"),
    ],
)
def test_database(tmp_path: Path, files: dict[str, str], database: str) -> None:
    """Drivers and URLs tell the database; with a server among them, SQLite is for development."""
    assert project(tmp_path, files).facts["persistence"].value == database


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("from fastapi.security import OAuth2PasswordBearer", ["jwt"]),
        ("from fastapi.security.api_key import APIKeyHeader", ["api-key"]),
        ("from fastapi.security import HTTPBasic, HTTPBearer", ["basic", "jwt"]),
        ("import jwt", ["jwt"]),
        ("from fastness.auth import JWTVerifier, APIKeyVerifier", ["api-key", "jwt"]),
        ("from starlette.middleware.sessions import SessionMiddleware", ["session"]),
    ],
)
def test_authentication(tmp_path: Path, line: str, kinds: list[str]) -> None:
    """What the code imports tells how callers authenticate."""
    assert project(tmp_path, {"auth.py": line}).facts["auth"].value == kinds


def test_namesakes_are_not_authentication(tmp_path: Path) -> None:
    """A local module called jwt, and the words in a string or a comment, are nothing."""
    found = project(tmp_path, {"a.py": "from .jwt import x\n# import jwt\ny = 'import jwt'\n"})
    assert "auth" not in found.facts


MANIFEST = "kind: Deployment\nspec:\n  replicas: 5\n"


def test_kubernetes_scale(tmp_path: Path) -> None:
    """A manifest gives replicas, and a surge of a quarter unless it says otherwise."""
    facts = project(tmp_path, {"deploy/app.yaml": MANIFEST}).facts
    assert {key: facts[key].value for key in ("platform", "replicas", "surge", "max_replicas")} == {
        "platform": "kubernetes",
        "replicas": 5,
        "surge": 2,
        "max_replicas": 5,
    }


@pytest.mark.parametrize(("surge", "value"), [("1", 1), ("50%", 3), ('"100%"', 5), ("0", 0)])
def test_kubernetes_surge(tmp_path: Path, surge: str, value: int) -> None:
    """`maxSurge` is a number or a share, rounded up as Kubernetes does."""
    assert project(tmp_path, {"app.yaml": f"{MANIFEST}  maxSurge: {surge}\n"}).facts["surge"].value == value


def test_autoscaler(tmp_path: Path) -> None:
    """An autoscaler gives the most replicas."""
    autoscaler = "kind: HorizontalPodAutoscaler\nspec:\n  maxReplicas: 9\n"
    assert project(tmp_path, {"app.yaml": MANIFEST, "hpa.yaml": autoscaler}).facts["max_replicas"].value == 9


@pytest.mark.parametrize(
    ("files", "platform"),
    [
        ({"Dockerfile": "FROM scratch"}, "container"),
        ({"fly.toml": ""}, "paas"),
        ({"requirements.txt": "mangum"}, "serverless"),
        ({"chart/Chart.yaml": ""}, "kubernetes"),
    ],
)
def test_platform(tmp_path: Path, files: dict[str, str], platform: str) -> None:
    """Platform files tell the platform."""
    assert project(tmp_path, files).facts["platform"].value == platform


def test_image_alone_binds_nothing(tmp_path: Path) -> None:
    """A Dockerfile proposes a container and contradicts no other platform; a manifest contradicts."""
    assert not project(tmp_path, {"Dockerfile": ""}).facts["platform"].contradicts("vm")
    assert project(tmp_path, {"app.yaml": MANIFEST}).facts["platform"].contradicts("vm")


@pytest.mark.parametrize(
    "text",
    [
        'CMD ["uvicorn", "a:b", "--workers", "4"]',
        "CMD uvicorn a:b --workers 4",
        "ENV WEB_CONCURRENCY=4",
        "CMD gunicorn -k x -w 4 a:b",
    ],
)
def test_processes(tmp_path: Path, text: str) -> None:
    """The number of server processes stands in the image's command or environment."""
    assert project(tmp_path, {"Dockerfile": text}).facts["processes"].value == 4


def test_isolation_in_the_code(tmp_path: Path) -> None:
    """An isolation level that the code sets is found; two different ones are nobody's guess."""
    one = 'create_engine(url, isolation_level="REPEATABLE READ")\n'
    assert project(tmp_path, {"db.py": one}).facts["isolation"].value == "repeatable-read"
    assert "isolation" not in project(tmp_path, {"db.py": f"{one}x(isolation_level='SERIALIZABLE')\n"}).facts


def test_image_older_than_the_project_requires(tmp_path: Path) -> None:
    """An image with a Python that the project does not allow is a contradiction."""
    files = {
        "pyproject.toml": '[project]\nrequires-python = ">=3.12"\n',
        "Dockerfile": "FROM docker.io/python:3.11-slim\n",
    }
    assert project(tmp_path, files).contradictions == ["the image runs Python 3.11, but the project requires >=3.12"]
    assert project(tmp_path, {"Dockerfile": "FROM python:3.12\n"}).contradictions == []


def test_tests_and_environments_say_nothing(tmp_path: Path) -> None:
    """Tests and virtual environments, whatever their name, are not the service."""
    found = project(tmp_path, {"tests/test_x.py": "import jwt", "py/pyvenv.cfg": "", "py/lib/x.py": "import jwt"})
    assert "auth" not in found.facts


def test_report_names_versions_and_bounds(tmp_path: Path) -> None:
    """The report gives bounds and locked versions of what matters, workers, migrations and CI."""
    found = project(
        tmp_path,
        {
            "requirements.in": "fastapi>=0.150\ncelery",
            "requirements.txt": "fastapi==0.165.0",
            "alembic.ini": "",
            ".gitlab-ci.yml": "",
        },
    )
    assert dict(found.report) == {
        "python": "no requires-python",
        "fastapi": ">=0.150, locked at 0.165.0",
        "workers": "celery",
        "migrations": "alembic.ini",
        "ci": ".gitlab-ci.yml",
    }


def test_empty_directory_is_no_project(tmp_path: Path) -> None:
    """A directory without code or dependencies is empty; one with either is not."""
    assert detect(tmp_path).empty
    assert not project(tmp_path, {}).empty
