"""What the checks report, and the forms it is written in. How a fault is found is not here."""

from fastness.tool.findings.model import Documented, Evidence, Finding, Fix, NotChecked, Report, Severity, Source

__all__ = ["Documented", "Evidence", "Finding", "Fix", "NotChecked", "Report", "Severity", "Source"]
