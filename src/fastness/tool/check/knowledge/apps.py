"""Which of a project's apps is the service, and what stands in front of all its endpoints."""

from __future__ import annotations

from fastness.tool.project import Service
from fastness.tool.project.routes import Router


def main(service: Service) -> Router | None:
    """The app that serves most routes, None when the project makes none."""
    candidates = [app for app in service.apps if not app.included_in]
    return max(candidates, key=lambda app: len(app.includes) + len(app.routes), default=None)
