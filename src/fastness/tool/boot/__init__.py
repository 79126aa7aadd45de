"""Runs a project's app, when that is asked for, and gives what it is as typed values. Rules and reports are not here.

`inside` is what runs in the project's own interpreter, `launch` starts and bounds it, `app` and `probed` are what it learned.
"""

from fastness.tool.boot.app import BootedApp
from fastness.tool.boot.probed import Probed
from fastness.tool.boot.start import Boot, Wanted, examine

__all__ = ["Boot", "BootedApp", "Probed", "Wanted", "examine"]
