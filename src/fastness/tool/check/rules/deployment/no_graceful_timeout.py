"""The server waits for ever when it is asked to stop.

Uvicorn waits for open connections and background tasks without end: one stream or one stuck request keeps the process alive
until the platform kills it, and then every other request in it is cut as well, and no shutdown handler runs.

Give `--timeout-graceful-shutdown` a little less than the platform's own patience (30 seconds in Kubernetes, 10 in Docker).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service

_UVICORN = re.compile(r"(?:^|[\s/\"'])(?:uvicorn\s+(?!install)[\w.\"'$\-]|fastapi\s+run\b)")
_BOUNDED = ("timeout-graceful-shutdown", "timeout_graceful_shutdown")
_DEVELOPS = re.compile(r"--reload\b|\bfastapi\s+dev\b")
_SERVED = re.compile(r"(?<![\w.:/])([A-Za-z_][\w.]*):[A-Za-z_]\w*")
_NO_START = re.compile(r"\b(?:pip|uv add|poetry add|apt-get|echo|grep|pkill|killall|which)\b")


@rule(
    severity=Severity.INFO,
    practice="10.3",
    help="start uvicorn with `--timeout-graceful-shutdown`, below the platform's patience",
)
def check(service: Service) -> Iterator[Found]:
    lines = [line for line in delivery.commands(service.project) if _starts(line)]
    composed = [line for line in delivery.composed(service.project) if _starts(line) and _is_own(service, line)]
    for line in (*lines, *composed):
        if "gunicorn" not in line.text and not any(option in line.text for option in _BOUNDED):
            yield line.found(f"uvicorn waits for ever when it is stopped: {line.text[:100]}")
    if lines:
        return
    for module in service.project.service:
        for site in module.calls_by_name.get("run", ()):
            options = {keyword.arg for keyword in site.node.keywords}
            if service.resolver.calls(site, "uvicorn.run") and not options & {"timeout_graceful_shutdown", "reload", None}:
                yield found(site.scope, site.node, "uvicorn waits for ever when it is stopped")


def _starts(line: delivery.Line) -> bool:
    return bool(_UVICORN.search(line.text)) and not _NO_START.search(line.text)


def _is_own(service: Service, line: delivery.Line) -> bool:
    """The project's own app, and not for its developer: a compose file starts other services too."""
    served = _SERVED.search(line.text)
    place = served[1].replace(".", "/") if served is not None else ""
    files = (f"{place}.py", f"{place}/__init__.py")
    return not _DEVELOPS.search(line.text) and any(
        f"/{module.path}".endswith(f"/{file}") for module in service.project.service for file in files
    )


EXAMPLES = [
    Bad("""
        # file: Dockerfile
        FROM python:3.12
        RUN pip install uvicorn
        CMD ["uvicorn", "app.main:app", "--host", "0.0.0.0"]  # found
        # file: start.sh
        exec uvicorn app.main:app --workers 4  # found
        # file: app/main.py
        app = None
    """),
    Bad("""
        # file: deploy/shop.service
        [Service]
        Environment=PORT=80
        ExecStart=/opt/shop/.venv/bin/uvicorn app.main:app --port 80  # found
        # file: docker-compose.yml
        services:
          api:
            command: ["sh", "-c", "python -m uvicorn app.main:app --host 0.0.0.0"]  # found
          shop:
            command:  # found
            - uvicorn
            - app.main:app
            ports: ["80:80"]
          other:
            command: >  # found
              uvicorn app.main:app
              --port 81
            restart: always
          fine:
            command: >-
              uvicorn app.main:app
              --timeout-graceful-shutdown 20
          developed:
            command: uvicorn app.main:app --reload
          dashboard:
            command: uvicorn --host 0.0.0.0 dashboard:app
        # file: docker-compose.override.yml
        services:
          api:
            command: uvicorn app.main:app
        # file: app/main.py
        app = None
    """),
    Bad("""
        import uvicorn

        def main():
            uvicorn.run("app.main:app", port=80)  # found
    """),
    Good(
        """
        # file: Dockerfile
        FROM python:3.12
        CMD ["uvicorn", "app.main:app", \\
             "--timeout-graceful-shutdown", "25"]
        # file: app/main.py
        import uvicorn

        if __name__ == "__main__":
            uvicorn.run("app.main:app")
    """,
        "the image says how long, on its second line; the file is started by its developer",
    ),
    Good(
        """
        # file: Procfile
        web: gunicorn app.main:app -k uvicorn.workers.UvicornWorker
        # file: app/main.py
        app = None
    """,
        "gunicorn has a limit of 30 seconds of its own",
    ),
    Good(
        """
        import uvicorn

        def main(options):
            uvicorn.run("app.main:app", **options)
            uvicorn.run("app.main:app", timeout_graceful_shutdown=20)
    """,
        "the options may hold it, or do",
    ),
]
