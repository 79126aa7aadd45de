"""Security: whether the credentials that were enough still are. Schemes are known by what they ask, not by their names."""

from __future__ import annotations

from typing import Any

from fastness.tool.contract.changes import Level
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.model import Requirement


def compare(context: Context, pair: Pair) -> None:
    """Compare the security of an operation: every alternative of the old contract has to satisfy one of the new."""
    if pair.calls_client:
        return
    for requirement in pair.old.security:
        if any(_satisfies(requirement, wanted) for wanted in pair.new.security):
            continue
        nearest = min(pair.new.security, key=lambda wanted: _distance(requirement, wanted))
        scopes = {
            str(scheme): sorted(nearest[scheme] - requirement[scheme])
            for scheme in nearest
            if scheme in requirement and nearest[scheme] - requirement[scheme]
        }
        schemes = [str(scheme) for scheme in nearest if scheme not in requirement]
        if schemes:
            identity, message = "request.security.required", f"{' and '.join(schemes)} is required now"
        else:
            listed = ", ".join(scope for names in scopes.values() for scope in names)
            identity, message = "request.scope.required", f"scope {listed} is required now"
        request = context.request(pair)
        context.add(
            identity,
            Level.BREAKING,
            f"{message}; {_text(requirement)} was enough",
            operation=pair.old,
            places=(pair.old.security_at, pair.new.security_at),
            counterexample={"request": {**request, "credentials": _shown(requirement)}},
            old=[_shown(wanted) for wanted in pair.old.security],
            new=[_shown(wanted) for wanted in pair.new.security],
        )
    for wanted in pair.new.security:
        if not any(_satisfies(wanted, requirement) for requirement in pair.old.security):
            context.add(
                "request.security.widened",
                Level.INFO,
                f"{_text(wanted)} is enough now",
                operation=pair.old,
                places=(pair.old.security_at, pair.new.security_at),
            )


def _satisfies(given: Requirement, wanted: Requirement) -> bool:
    return all(scheme in given and scopes <= given[scheme] for scheme, scopes in wanted.items())


def _distance(given: Requirement, wanted: Requirement) -> int:
    return sum(100 if scheme not in given else len(scopes - given[scheme]) for scheme, scopes in wanted.items())


def _shown(requirement: Requirement) -> dict[str, Any]:
    return {str(scheme): sorted(scopes) for scheme, scopes in requirement.items()}


def _text(requirement: Requirement) -> str:
    parts = [f"{scheme}{' with ' + ', '.join(sorted(scopes)) if scopes else ''}" for scheme, scopes in requirement.items()]
    return " and ".join(parts) or "no credential"
