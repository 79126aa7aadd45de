"""How long a comparison of two contracts takes: 1,000 operations against an edited copy, and the reference service.

The edits are of two kinds: a few that one operation notices, and one in a component that all of them share, so that each of
the 1,000 has to be compared and reported. `seconds` are those of reading both files, comparing and writing the report;
`cpu_seconds` are the processor's share of them, which the limits are for: it is what is left of them on a machine that has
nothing else to do. `command_seconds` are those of the whole `fastness contract diff`, with the start of the interpreter and its
imports. All are the least of several runs: the work is the same each time, and the machine only ever adds to it.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import relay

OPERATIONS = 1000
LIMITS = {"cpu_seconds": 2.0, "reference_cpu_seconds": 0.2}
_REF = "#/components/schemas/"


def measure(*, rounds: int) -> dict[str, Any]:
    """Seconds for both, and how many changes were found."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        large = document(OPERATIONS // 4)
        figures = _pair(folder, large, edited(large), rounds)
        reference = _reference()
        changed = copy.deepcopy(reference)
        for schema in changed["components"]["schemas"].values():
            schema.setdefault("properties", {})["noticed"] = {"type": "string"}
            schema["required"] = [*schema.get("required", ()), "noticed"]
        figures |= {f"reference_{name}": value for name, value in _pair(folder, reference, changed, rounds).items()}
    return figures


def failures(figures: dict[str, Any]) -> list[str]:
    """What is above its limit, one line each."""
    return [f"{name} is {figures[name]}, at most {limit} is wanted" for name, limit in LIMITS.items() if figures[name] > limit]


def document(resources: int) -> dict[str, Any]:
    """An OpenAPI document as FastAPI writes it, with four operations and five models for each resource."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {
        "Money": _model({"amount": {"type": "integer", "minimum": 0}, "currency": {"type": "string", "enum": ["EUR", "USD"]}}),
        "Problem": _model({"title": {"type": "string"}, "status": {"type": "integer", "minimum": 400, "maximum": 599}}),
    }
    for number in range(resources):
        name = f"Order{number}"
        line = {
            "sku": {"type": "string", "maxLength": 40},
            "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
            "price": {"$ref": f"{_REF}Money"},
        }
        fields = {
            "name": {"type": "string", "maxLength": 100, "title": "Name"},
            "state": {"type": "string", "enum": ["open", "paid", "sent"], "default": "open"},
            "lines": {"type": "array", "items": {"$ref": f"{_REF}{name}Line"}, "maxItems": 50},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Note"},
            "due": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        }
        wanted = ["name", "lines"]
        schemas[f"{name}Line"] = _model(line)
        schemas[f"{name}Create"] = {**_model(fields), "required": wanted}
        schemas[name] = {**_model({"id": {"type": "string", "format": "uuid"}, **fields}), "required": ["id", *wanted]}
        schemas[f"{name}Patch"] = {**_model(fields), "required": []}
        schemas[f"{name}Page"] = _model({"items": {"type": "array", "items": {"$ref": f"{_REF}{name}"}}})
        identity = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
        limit = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}}
        paths[f"/orders{number}"] = {
            "post": _operation(name, "201", body=f"{name}Create"),
            "get": _operation(f"{name}Page", "200", parameters=[limit]),
        }
        paths[f"/orders{number}/{{id}}"] = {
            "get": _operation(name, "200", parameters=[identity]),
            "patch": _operation(name, "200", body=f"{name}Patch", parameters=[identity]),
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Orders", "version": "1.0.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def edited(whole: dict[str, Any]) -> dict[str, Any]:
    """A copy with the changes of a release: one resource breaks, one grows, and the error that all answer gets a field."""
    made = copy.deepcopy(whole)
    schemas = made["components"]["schemas"]
    schemas["Order1Line"]["properties"]["quantity"]["maximum"] = 500
    schemas["Order2"]["properties"]["state"]["enum"].append("lost")
    schemas["Order3Create"]["properties"]["priority"] = {"type": "integer", "default": 0}
    made["paths"]["/orders4"]["get"]["parameters"][0]["required"] = True
    del made["paths"]["/orders5/{id}"]["patch"]
    schemas["Problem"]["properties"]["instance"] = {"type": "string"}
    return made


def _model(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _operation(answer: str, status: str, *, body: str = "", parameters: list[Any] | None = None) -> dict[str, Any]:
    responses = {
        status: {"description": "ok", "content": {"application/json": {"schema": {"$ref": _REF + answer}}}},
        "422": {"description": "no", "content": {"application/problem+json": {"schema": {"$ref": f"{_REF}Problem"}}}},
    }
    made: dict[str, Any] = {"responses": responses, "parameters": parameters or []}
    if body:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"$ref": _REF + body}}}}
    return made


def _reference() -> dict[str, Any]:
    """The document of the reference service."""
    with relay.migrated() as service:
        command = [sys.executable, "-m", "fastness.tool", "contract", "snapshot", "--python", sys.executable]
        subprocess.run(command, cwd=service, env=relay.ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
        written: dict[str, Any] = json.loads(next(service.glob("**/openapi.json")).read_text())
    return written


def _pair(folder: Path, old: dict[str, Any], new: dict[str, Any], rounds: int) -> dict[str, Any]:
    from fastness.tool.contract import FORMATS, sources
    from fastness.tool.contract.compare import compare
    from fastness.tool.contract.settings import Settings

    files = folder / "old.json", folder / "new.json"
    for file, content in zip(files, (old, new), strict=True):
        file.write_text(json.dumps(content))

    def inside() -> int:
        before, after = (sources.load(str(file), old=file is files[0], snapshot=folder) for file in files)
        result = compare(before, after, Settings())
        FORMATS["text"](result)
        return len(result.changes)

    command = [sys.executable, "-m", "fastness.tool", "contract", "diff", *map(str, files)]

    def outside() -> int:
        return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode

    seconds, cpu_seconds, changes = _least(inside, rounds)
    command_seconds, _, code = _least(outside, rounds)
    if code != 1 or not changes:
        raise RuntimeError(f"the edits were not found: {changes} changes, exit code {code}")
    operations = sum(method in item for item in old["paths"].values() for method in ("get", "post", "put", "patch", "delete"))
    return {
        "operations": operations,
        "changes": changes,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "command_seconds": round(command_seconds, 3),
    }


def _least(run: Callable[[], int], rounds: int) -> tuple[float, float, int]:
    found, samples = 0, []
    for _ in range(rounds):
        started, busy = time.perf_counter(), time.process_time()
        found = run()
        samples.append((time.perf_counter() - started, time.process_time() - busy))
    wall, cpu = zip(*samples, strict=True)
    return min(wall), min(cpu), found
