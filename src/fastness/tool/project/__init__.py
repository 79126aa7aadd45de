"""The static model of a service: files, names, calls, routes. It is read from sources; nothing of the project is run.

The layers, lowest first: `source` is what one file says, `kept` what answers were read from and what of them outlives a run,
`files` which files there are and how imports join them, `names` what expressions stand for, `flow` who calls whom, and
`service`, with routes and dependencies, what FastAPI makes of it.
"""

from fastness.tool.project.files.opening import open_project
from fastness.tool.project.files.project import Project
from fastness.tool.project.service import Service

__all__ = ["Project", "Service", "open_project"]
