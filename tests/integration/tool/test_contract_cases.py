"""Pairs of documents from the tests of an independent tool, with the verdicts that it expects.

They stand beside the repository. Where our verdict differs, the reason stands below; a case that starts to agree, or to
differ, fails.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from fastness.tool.contract import sources
from fastness.tool.contract.changes import Verdict
from fastness.tool.contract.compare import Result, compare
from fastness.tool.contract.references import resolve
from fastness.tool.contract.settings import Settings

FOLDER = Path(__file__).parents[4] / "shared" / "contract"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "cases.json").read_text()) if FOLDER.is_dir() else []

ONE_FILE = "Both sides are the same file: the other tool's test edits it in memory. Equal documents are compatible."
EQUAL_MEMBER = "The schema that joins allOf is word for word one that stands there already: exactly the same bodies are valid."
DIFFERENT = {
    "TestRequestBodyTypeNarrowingStillBreaking": ONE_FILE,
    "TestRequestBodyTypeAddedFromUntypedStillBreaking": ONE_FILE,
    "TestRequestBodyTypeWidenWithBreakingFormatStillBreaking": ONE_FILE,
    "TestResponseBodyTypeWideningStillBreaking": ONE_FILE,
    "TestResponseBodyTypeRemovedStillBreaking": ONE_FILE,
    "TestResponseBodyTypeNarrowWithBreakingFormatStillBreaking": ONE_FILE,
    "TestResponseSuccessStatusRemoved": ONE_FILE,
    "TestBreaking_RequestPropertyAllOfAdded": EQUAL_MEMBER,
    "TestRequestPropertyAllOfAdded": EQUAL_MEMBER,
    "TestRequestPropertyAllOfAdded_WithSources_Ref": EQUAL_MEMBER,
    "TestRequestPropertyAllOfAdded_WithSources_Inline": "What joins allOf declares one more optional property.",
    "TestRequestBodyAnyOfMultiMediaTypeDetails": "Cat leaves anyOf and Rabbit joins: one schema under two names.",
    "TestBreaking_AddPattern": "The pattern is on a readOnly property, which is no part of a request; answers narrow.",
    "TestRequestParameterDefaultValueChangedAndRenamedParameter": "The default of a path parameter, always sent, changes.",
    "TestWebhookOperationChangesDetected": "The server sends it, and a body that is always sent is one that was allowed.",
}


def judge(case: dict[str, Any]) -> Result:
    old = sources.load(str(FOLDER / case["old"]), old=True, snapshot=FOLDER)
    new = sources.load(str(FOLDER / case["new"]), old=False, snapshot=FOLDER)
    result = compare(old, new, Settings())
    for change in result.changes:
        for contract, place in zip((old, new), change.places, strict=True):
            resolve(contract.raw, f"#{place}")
    return result


@pytest.mark.skipif(not CASES, reason="the independent cases are not beside this repository")
def test_cases_are_there() -> None:
    """Every explained difference is one of a case that exists."""
    assert DIFFERENT.keys() <= {case["case"] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_case(case: dict[str, Any]) -> None:
    """The verdict is the expected one, or differs for the reason that is written down."""
    result = judge(case)
    agrees = (result.verdict is Verdict.BREAKING) == (case["expect"] == "breaking")
    assert agrees is (case["case"] not in DIFFERENT), [(change.id, change.message) for change in result.changes]
    for change in result.changes:
        assert not change.breaks or change.counterexample is not None or change.id.endswith("undecided")
