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

ONE_FILE = (
    "Both sides are the same file: the other tool's test edits it in memory. A document is compatible with itself; no other "
    "verdict can be right."
)
EQUAL_MEMBER = (
    "Rabbit joins allOf of the body, and Breed3 that of breed. Each is word for word a schema that stands there already (Cat, "
    "Breed1): `name`, if there, is a string. Exactly the same bodies are valid before and after, so no client can tell."
)
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
    "TestRequestPropertyAllOfAdded_WithSources_Inline": (
        "What joins allOf declares one more optional property, prop3. Written into one object, the same tool calls that a new "
        "optional property and information; how a schema is split must not decide. Clients of the old contract do not send it."
    ),
    "TestRequestBodyAnyOfMultiMediaTypeDetails": (
        "Cat leaves anyOf and Rabbit joins: both are an object with an optional string `name`, and so is Dog, which stays. "
        "Exactly the same bodies are valid; components are compared by what they say, not by what they are called."
    ),
    "TestBreaking_AddPattern": (
        "The pattern is on `created`, which is readOnly: no request has it, and answers get narrower. The tool's own release "
        "1.31.0 takes this verdict back: a readOnly property never appears in a request."
    ),
    "TestRequestParameterDefaultValueChangedAndRenamedParameter": (
        "The default of a path parameter changes, which is part of every URL: no request is without it. (Of a parameter that "
        "may be left out, a changed default is a warning here; the tool's own release 1.30.0 no longer calls it breaking.)"
    ),
    "TestWebhookOperationChangesDetected": (
        "The server sends this request, so client and server change places. A body that may be left out becomes one that is "
        "always there, and gains an optional property: what arrives was allowed before. The tool reads it as a client's."
    ),
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
