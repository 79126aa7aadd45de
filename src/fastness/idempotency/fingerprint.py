"""What tells requests with one key apart, and whose key it is. Both are SHA-256 over parts that cannot run into each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

_CHUNK = 256 * 1024
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


def digest(parts: Iterable[str | bytes | None]) -> bytes:
    """SHA-256 of `parts`, each with its kind and length."""
    hashed = hashlib.sha256()
    for part in parts:
        if part is None:
            hashed.update(b"-;")
            continue
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        hashed.update(b"%d:" % len(data))
        hashed.update(data)
    return hashed.digest()


async def fingerprint(request: Request) -> bytes:
    """Of the path's parameters, the query and the body.

    A form that FastAPI has read counts by its fields and files, because the boundary between its parts is another one in each
    retry. Any other body counts byte by byte.

    Raises:
        HTTPException: the client went away before its body was here.
        RuntimeError: the body is gone, because something has read it as a stream.
    """
    path = json.dumps(request.path_params, default=str, sort_keys=True) if request.path_params else ""
    query: bytes = request.scope["query_string"]
    try:
        body = await request.body()
    except ClientDisconnect as error:
        raise HTTPException(400, "The body is not complete.") from error
    except RuntimeError as error:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _FORMS:
            raise RuntimeError(
                "the body was read as a stream before Idempotent could read it: list Idempotent before what reads it, or "
                "declare the body in the endpoint's signature"
            ) from error
        return digest([path, query, "form", await _form(await request.form())])
    return digest([path, query, "body", body])


async def _form(form: FormData) -> bytes:
    parts: list[str | bytes | None] = []
    for name, value in form.multi_items():
        parts.append(name)
        if isinstance(value, UploadFile):
            parts += ["file", value.filename, value.content_type, await _file(value)]
        else:
            parts += ["text", value]
    return digest(parts)


async def _file(file: UploadFile) -> bytes:
    hashed = hashlib.sha256()
    await file.seek(0)
    while chunk := await file.read(_CHUNK):
        hashed.update(chunk)
    await file.seek(0)
    return hashed.digest()
