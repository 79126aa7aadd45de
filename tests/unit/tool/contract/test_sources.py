"""Bad input: refused with the place, and never compared as something that it is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastness.tool.contract import sources
from fastness.tool.contract.model import Contract
from fastness.tool.contract.syntax import LARGEST
from fastness.tool.errors import CANNOT_RUN, CommandError

from .conftest import body, document

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def load(tmp_path: Path, text: str | bytes, name: str = "api.yaml", **options: Any) -> Contract:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return sources.load(str(file), old=True, snapshot=tmp_path / "contract/openapi.json", **options)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not an OpenAPI document"),
        ("[]", "not an OpenAPI document"),
        ("{}", "no `openapi` field"),
        ('{"swagger": "2.0", "paths": {}}', "convert it to OpenAPI 3"),
        ('{"openapi": "4.0.0", "paths": {}}', "4.0.0 is not known"),
        ('{"openapi": "3.1.0"}', "neither paths nor webhooks"),
        ('{"openapi": "3.1.0", "paths": {}, "paths": {}}', "'paths' stands twice"),
        ("openapi: 3.1.0\npaths: {}\npaths: {}\n", "line 3, column 1: key 'paths' stands twice"),
        ('{"openapi": "3.1.0", "paths": }', "line 1, column 31"),
        ('{"openapi": "3.1.0", "paths": NaN}', "NaN is not JSON"),
        ("openapi: 3.1.0\npaths: [\n", "line 3"),
        ("openapi: 3.1.0\npaths: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        (b"openapi: \xff", "not UTF-8"),
        ("openapi: 3.1.0\npaths: {}\n" + BOMB, "once its aliases are followed"),
        ("openapi: 3.1.0\npaths: &p {a: *p}\n", "refers to what it stands in"),
        ("[" * 100_000, "nested deep"),
        ('{"openapi": "3.1.0", "paths": {}, "x": ' + "[" * 300 + "]" * 300 + "}", "nested deeper than 200"),
        ('{"openapi": "3.1.0", "paths": {"/a": []}}', "/paths/~1a is not an object"),
        ('{"openapi": "3.1.0", "paths": {"/a": {"get": {"parameters": [{}]}}}}', "/paths/~1a/get/parameters/0 has no name"),
    ],
)
def test_bad_documents(tmp_path: Path, text: str | bytes, says: str) -> None:
    """What is no OpenAPI 3 document is refused with exit code 2 and the place."""
    with pytest.raises(CommandError) as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
    assert caught.value.code == CANNOT_RUN
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("schemas", "says"),
    [
        ({"A": {"$ref": "#/components/schemas/Gone"}}, "dangling $ref '#/components/schemas/Gone'"),
        ({"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}, "circular $ref"),
        ({"A": {"$ref": "https://example.com/x.json"}}, "--allow-remote"),
        ({"A": {"$ref": "other.yaml#/x"}}, "--allow-remote"),
        ({"A": {"$ref": "#anchor"}}, "names an anchor"),
        ({"A": {"items": {"$ref": "#/info/title"}}}, "leads to str, not to an object"),
        (
            {"A": {"type": "object", "properties": {"x": {"items": {"$ref": "#/nowhere"}}}}},
            "/components/schemas/A/properties/x/items",
        ),
    ],
)
def test_bad_references(tmp_path: Path, schemas: dict[str, Any], says: str) -> None:
    """A reference that leads nowhere, round in a circle or away is refused, with its place."""
    with pytest.raises(CommandError) as caught:
        load(tmp_path, json.dumps(document(components={"schemas": schemas})))
    assert says in str(caught.value)


def test_what_looks_like_a_reference_in_data_is_data(tmp_path: Path) -> None:
    """`$ref` in an example, and a property that is called $ref, are not followed."""
    schema = {
        "type": "object",
        "properties": {"$ref": {"type": "string"}},
        "example": {"$ref": "#/nowhere"},
        "enum": [{"$ref": "x"}],
    }
    assert load(tmp_path, json.dumps(document(body(schema)))).operations


def test_other_files_are_followed_when_allowed(tmp_path: Path) -> None:
    """With --allow-remote, files that refer to each other are taken in."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/item.yaml").write_text(
        "Item:\n  type: object\n  properties:\n    n: {$ref: 'name.yaml'}\n    i: {$ref: '#/Item'}\n"
    )
    (tmp_path / "parts/name.yaml").write_text("type: integer\n")
    text = json.dumps(document(body({"$ref": "parts/item.yaml#/Item"})))
    contract = load(tmp_path, text, allow_remote=True)
    schema = contract.operations["post /items"].body.content["application/json"].schema  # type: ignore[union-attr]
    found = contract.requests.target(contract.requests.node(schema)["$ref"])  # type: ignore[index]
    assert contract.requests.target(found["properties"]["n"]["$ref"]) == {"type": "integer"}  # type: ignore[index]


def test_the_network_names_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A document that was fetched, or one that a file refers to on the network, may not have files of this machine read."""
    secret = tmp_path / "secret.yaml"
    secret.write_text("type: integer\n")
    fetched = {
        "http://a.example/api": document(body({"$ref": secret.as_uri()})),
        "http://a.example/part": {"type": "object", "properties": {"x": {"$ref": secret.as_uri()}}},
    }
    monkeypatch.setattr(sources, "_fetch", lambda url: json.dumps(fetched[url]).encode())
    with pytest.raises(CommandError, match="is not followed"):
        sources.load("http://a.example/api", old=True, snapshot=tmp_path, allow_remote=True)
    with pytest.raises(CommandError, match="is not followed"):
        load(tmp_path, json.dumps(document(body({"$ref": "http://a.example/part"}))), allow_remote=True)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(CommandError, match=r"gone\.json: No such file"):
        sources.load(str(tmp_path / "gone.json"), old=True, snapshot=tmp_path)


def test_a_document_that_is_too_large(tmp_path: Path) -> None:
    """The size is looked at before the file is read."""
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(CommandError, match="larger than the 64 MiB"):
        sources.load(str(tmp_path / "big.json"), old=True, snapshot=tmp_path)


def test_yaml_reads_as_json_does(tmp_path: Path) -> None:
    """Status codes without quotes, dates and `on` are text where JSON would have text."""
    get = "deprecated: true, x-sunset: 2026-12-31, responses: {200: {description: on}}"
    text = f"openapi: 3.1.0\npaths: {{/a: {{get: {{{get}}}}}}}\n"
    (found,) = load(tmp_path, text).operations.values()
    assert list(found.responses) == ["200"]
    assert str(found.marks.sunset) == "2026-12-31"
