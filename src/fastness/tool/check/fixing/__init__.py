"""`fastness check --fix`: edits that rules propose, made only when a second check finds nothing wrong with them."""

from fastness.tool.check.fixing.plan import Fixed, Left, fix
from fastness.tool.check.fixing.write import diff, write

__all__ = ["Fixed", "Left", "diff", "fix", "write"]
