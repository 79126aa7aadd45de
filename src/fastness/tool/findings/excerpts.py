"""The source lines that a report shows. What a finding calls a secret is not among them."""

from __future__ import annotations

import re

from fastness.tool.project.files.project import Project

SECRET = "security/hardcoded-secret"  # noqa: S105 - the rule's name
_TEXT = re.compile(r"""(["'])(?:(?!\1)[^\\\n]|\\.)+(?:\1|$)""")


def line(project: Project, path: str, number: int, *, secret: bool = False) -> str:
    """One line of a file; of one that holds a secret without its texts."""
    written = project.line(path, number)
    return _TEXT.sub(r"\1…\1", written) if secret else written
