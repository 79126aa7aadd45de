"""What everybody may call: operations that say so by their words, and content that everybody may read."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Function, constant, last_name
from fastness.tool.project.source.walk import walk

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PARAMETER = re.compile(r"\{(\w+)[^}]*\}")
# Who has it may: `/invoices/{token}`.
_CAPABILITY = re.compile(r"(?:token|signature|secret)$|^code$|^(?:share|invit\w+)_(?!id$)\w+$", re.IGNORECASE)
# Words have borders: `auth` is no `author`, `ping` no `shipping`, `test` no `latest`, `static` no `statistics`.
_BEFORE, _AFTER = r"(?<![a-z])(?:", r")(?![a-z])"
_FOR_ALL = re.compile(
    _BEFORE + r"[a-z]*log-?[io]n[a-z]*|[a-z]*logout[a-z]*|sign[-_]?(?:in|up|out|on)s?|register|registration|captcha|marketplace"
    r"|refresh|forgot|passw(?:or)?d[a-z]*|verify|verification|confirm|confirmation|(?:re)?activat(?:e|ion)|authenticat(?:e|ion)"
    r"|authorize|resend|callbacks?|webhooks?|health[a-z]*|livez|readyz|liveness|ready|readiness|ping|public|otp|o?auth2?|sso"
    r"|saml|oidc|magic|invites?|invitations?|docs|openapi|redoc|swagger|csrf|unsubscribe|subscribe|contact|newsletter|reset"
    r"|recover|recovery|guests?|anonymous|google|facebook|github|twitter|slack|discord|well-known|favicon" + _AFTER
)
# What one gets here, and does not look at: `/token`, `/access_token`, but not `/token_check`, and not `/sessions/{id}`.
_GIVEN = re.compile(r"(?:^|[/ _-])(?:token|session)(?=$| |/)|/sessions(?=$| )")
_PAID = re.compile(_BEFORE + r"payments?|deposits?|billing|subscriptions?" + _AFTER)  # its session is no login's
_FOR_READING = re.compile(
    _BEFORE + r"version|config|configuration|status|statuses|tests?|schemas?|metrics|static|logos?|icons?|shared?|preview|embed"
    r"|options|choices|defaults?|enums?|faqs?|about|blog|terms|privacy|pricing|countries|languages|currencies|timezones"
    + _AFTER
)
# What speaks of persons and money is no public content, even where other reads are.
_PERSONAL = re.compile(
    r"(?<![a-z])(?:user(?!name)|member|account|customer|client|patient|employee|staff|admin|payment|invoice|order|transaction"
    r"|notification|message|logs?\b|audit|export|report|contract|document)",
    re.IGNORECASE,
)
# Guarded reads that say nothing about the others: of the caller's own, and of who runs the service.
_ONES_OWN = re.compile(_BEFORE + r"me|my|mine|own|personal|self|current|admin|manage|stats|statistics" + _AFTER)
_ALMOST_ALL = 3
# What its author says of it, to who reads the documentation.
_SAID = re.compile(
    r"\bno (?:login|auth\w*|credentials|token|account) (?:is |are )?(?:required|needed|necessary)|[\[(]public\b"
    r"|\bpublic(?:ly)? (?:endpoints?|routes?|api|access\w*|available|forms?|pages?|visible)\b"
    r"|\bwithout (?:a |an )?(?:login|logging in|auth\w*|credentials|token|account)\b"
    r"|\b(?:does not|doesn't|do not) (?:require|need) (?:a |an |any )?(?:login|auth\w*|credentials|token|account)\b",
    re.IGNORECASE,
)
_LOGS = re.compile(r"print|_?log(?:ger|ging)?\.\w+|\w*Response", re.IGNORECASE)


def says_so(route: Route) -> bool:
    """A word of its path or name is one of what is there for strangers, or its documentation says that it is."""
    path = _PARAMETER.sub(lambda named: "public" if _CAPABILITY.search(named[1]) else "-", route.path or "")
    words = _words(f"{path} {route.handler.name}")
    if _FOR_ALL.search(words) or (_GIVEN.search(words) and not _PAID.search(words)):
        return True
    return (only_reads(route) and bool(_FOR_READING.search(words))) or _is_said_to_be(route)


def _is_said_to_be(route: Route) -> bool:
    """`summary="[PUBLIC] Send an application"`, or the same in a docstring or in the comment above."""
    said = [constant(route.option(name)) for name in ("summary", "description")]
    said += [ast.get_docstring(route.handler.node), _comment_above(route.handler)]
    return any(isinstance(text, str) and _SAID.search(text) is not None for text in said)


def _comment_above(handler: Function) -> str:
    lines, found = handler.module.lines, list[str]()
    number = min((decorator.lineno for decorator in handler.decorators), default=handler.line) - 2
    while number >= 0 and (lines[number].startswith("#") or not (lines[number].strip() or found)):
        found.append(lines[number])
        number -= 1
    return "\n".join(found)


def is_personal(text: str) -> bool:
    """It speaks of persons or their money."""
    return bool(_PERSONAL.search(text))


def only_reads(route: Route) -> bool:
    return route.methods <= {"GET", "HEAD"}


def is_content(route: Route, siblings: Collection[Route], guarded: Collection[Route]) -> bool:
    """It only reads what only some may write, and reading is not what its siblings guard.

    It is when what this is a part of is guarded, `/files/{id}` of `/files/{id}/download`, or this is the only read that is not.
    """
    if not only_reads(route) or is_personal(f"{route.path} {route.handler.name}"):
        return False
    reads = [one for one in guarded if "GET" in one.methods and not _ONES_OWN.search(_words(f"{one.path} {one.handler.name}"))]
    if any(_parts(route)[: len(_parts(one))] == _parts(one) for one in reads):
        return False
    others = [one for one in siblings if one not in guarded and one is not route and only_reads(one)]
    return len(reads) < _ALMOST_ALL or bool(others)


def _words(text: str) -> str:
    return _CAMEL.sub("_", text).lower()


def _parts(route: Route) -> list[str]:
    """The parts of its path, without the parameters' names."""
    return [_PARAMETER.sub("{}", part) for part in (route.path or "").strip("/").split("/") if part]


def collection(route: Route) -> list[str] | None:
    """Of what `/items/{id}` is one; None for a path that ends in anything else."""
    parts = _parts(route)
    return parts[:-1] if parts and parts[-1] == "{}" else None


def makes(route: Route, collection: list[str]) -> bool:
    """It creates one of a collection: `POST /items`, `POST /items/create`."""
    parts = _parts(route)
    named = parts[:-1] if parts and parts[-1] in {"create", "add", "new"} else parts
    return route.methods == {"POST"} and named == collection


def gives_nothing(handler: Function) -> bool:
    """It takes nothing, or does nothing with it but to log it, and returns a literal: there is nothing to guard."""
    names = {
        name
        for node in handler.of(ast.Return)
        for part in (walk(node.value) if node.value is not None else ())
        if (name := last_name(part) if isinstance(part, ast.Call) else part.id if isinstance(part, ast.Name) else None)
    }
    if not all(name.endswith("Response") or name == "status" for name in names):
        return False
    takes_nothing = not any(True for _ in handler.parameters)
    return takes_nothing or (bool(handler.of(ast.Return)) and all(map(_LOGS.fullmatch, _called(handler))))


def _called(handler: Function) -> list[str]:
    return [ast.unparse(site.node.func) for site in handler.calls]
