"""The static model of a service: files, names, calls, routes. It is read from sources; nothing of the project is run.

The layers, lowest first: `locate` finds files, `module` and `index` read one, `project` joins them by imports, `resolve`
says what expressions stand for, `calls` who calls whom, `service` what FastAPI makes of it. `opening` is for commands. Of what
is kept from one run to the next, `outline` tells of a file, `notes` of a function, and `edits` what an edit leaves of both.
"""

from fastness.tool.project.opening import open_project
from fastness.tool.project.project import Project
from fastness.tool.project.service import Service

__all__ = ["Project", "Service", "open_project"]
