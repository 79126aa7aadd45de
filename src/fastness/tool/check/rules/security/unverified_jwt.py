"""A token is accepted without being verified, or made without an end.

Without an explicit list of algorithms the token itself says how it wants to be verified; with `verify_signature` off anyone
can write one; without `exp` a leaked token works for ever.

Pass `algorithms=["..."]` as a list, leave verification on, and set `exp` when a token is made.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from fastness.tool.check.repair import Repair, argument_added, calls_at, replaced, text_of
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, constant
from fastness.tool.project.source.walk import walk

_DECODES = ("jwt.decode", "jose.jwt.decode", "jwt.PyJWT().decode")
_ENCODES = ("jwt.encode", "jose.jwt.encode")
_CHECKS = ("verify_signature", "verify_exp", "verify_aud")
_VERIFIES = re.compile(r"^(?:decode|verify|validate)\w*(?:token|jwt)|^verify", re.IGNORECASE)
_OF_ITSELF = frozenset({"exp", "iat", "nbf", "jti"})  # what a token says of itself, and of nobody
_ISSUED = frozenset({"iss", "aud", "azp", "tid"})
_CLAIMS = {"sub", "user_id", "username", "email", "scope", "scopes", "role", "uid"}


@rule(
    severity=Severity.ERROR,
    practice="6.1",
    fix=Fix.SAFE,
    help='pass `algorithms=["HS256"]`, keep verification on, and set `exp`',
)
def check(module: Module, resolver: Resolver) -> Iterator[Found]:
    if not module.mentions("jwt", "jose"):
        return
    for site in module.calls_by_name.get("decode", ()):
        if resolver.calls(site, *_DECODES):
            message = _decoding(site, resolver)
            if message:
                options = site.argument("options")
                evidence = [proof(site.scope, options, "the options")] if options is not None else []
                yield found(site.scope, site.node, message, *evidence)
    for site in module.calls_by_name.get("encode", ()):
        if resolver.calls(site, *_ENCODES) and _endless(site, resolver):
            yield found(site.scope, site.node, "this token has no `exp`: once leaked it works for ever")


def _decoding(site: CallSite, resolver: Resolver) -> str | None:
    if any(keyword.arg is None for keyword in site.node.keywords):
        return None
    off = _switched_off(site, resolver)
    if off == "verify_signature":
        harmless = _display_only(site, resolver) or _reads_only(site, _ISSUED)  # which chooses who verifies it
        return None if harmless else "the signature is not verified: anyone can write this token"
    # When a token ends, as to remember until then that it is revoked.
    if off is not None and not (off == "verify_exp" and _reads_only(site, _OF_ITSELF)):
        return f"{off} is switched off" + (": an expired token is accepted" if off == "verify_exp" else "")
    given = site.argument("algorithms", 2)
    if given is None:
        return "no `algorithms`: the token says how it wants to be verified"
    origin, _ = literals.origin(resolver, given, site.scope)
    if given is not site.argument("algorithms") or isinstance(given, ast.List | ast.Tuple | ast.Name | ast.Attribute):
        is_text = isinstance(origin, ast.Constant) and isinstance(origin.value, str)
    else:
        is_text = isinstance(given, ast.Constant)
    return "`algorithms` is a text, not a list: every part of it is accepted as a name" if is_text else None


def _switched_off(site: CallSite, resolver: Resolver) -> str | None:
    verify = site.argument("verify")
    if isinstance(verify, ast.Constant) and verify.value is False:
        return "verify_signature"
    options = site.argument("options")
    if options is None:
        return None
    origin, _ = literals.origin(resolver, options, site.scope)
    if isinstance(origin, ast.Dict):
        for key, value in zip(origin.keys, origin.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) else None
            if name in _CHECKS[:2] and isinstance(value, ast.Constant) and value.value is False:
                return str(name)
    return None


def _display_only(site: CallSite, resolver: Resolver) -> bool:
    """The header or claims are read to choose a key or for the log, and the token is verified in the same function."""
    scope = site.scope
    return isinstance(scope, Function) and any(
        inner.node is not site.node and (resolver.calls(inner, *_DECODES) or _VERIFIES.search(inner.name))
        for inner in scope.calls
    )


def _reads_only(site: CallSite, claims: AbstractSet[str]) -> bool:
    """Of the token nothing is read but some of these."""
    if not isinstance(site.scope, Function):
        return False
    named = {name for name, bindings in site.scope.bindings.items() for one in bindings if one.value is site.node}
    used = [node for node in site.scope.of(ast.Name) if node.id in named and isinstance(node.ctx, ast.Load)]
    whole: dict[int, object] = {}
    for item in site.scope.of(ast.Subscript):
        whole[id(item.value)] = constant(item.slice)
    for call in site.scope.of(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "get" and call.args:
            whole[id(call.func.value)] = constant(call.args[0])
    read = [whole.get(id(node)) for node in (used if named else [site.node])]
    return bool(read) and all(key in claims for key in read)


def _endless(site: CallSite, resolver: Resolver) -> bool:
    """The payload is a literal whose keys are all known, speaks of a user, and has no `exp`."""
    payload = site.argument("payload", 0) or site.argument("claims")
    if payload is None:
        return False
    origin, holder = literals.origin(resolver, payload, site.scope)
    if not isinstance(origin, ast.Dict):
        return False
    keys = [key.value if isinstance(key, ast.Constant) else None for key in origin.keys]
    if None in keys or "exp" in keys or not _CLAIMS & {str(key) for key in keys}:
        return False
    return not (isinstance(holder, Function) and _mentions_exp(holder))


def _mentions_exp(function: Function) -> bool:
    return any(
        (isinstance(node, ast.Constant) and node.value == "exp") or (isinstance(node, ast.keyword) and node.arg == "exp")
        for node in walk(function.node)
    )


def fix(service: Service, finding: Finding) -> Repair | None:
    """A list of the algorithm that is given as a text; where none is given, of the one with which all tokens here are made."""
    module, resolver = service.project.modules[finding.path], service.resolver
    site = next((site for site in calls_at(service, finding) if resolver.calls(site, *_DECODES)), None)
    if site is None or _switched_off(site, resolver) is not None:
        return None
    given = site.argument("algorithms", 2)
    if given is not None:
        return Repair((replaced(module, given, f"[{text_of(module, given)}]"),))
    made = {_algorithm(made, resolver) for made in module.calls_by_name.get("encode", ()) if resolver.calls(made, *_ENCODES)}
    if len(made) != 1 or None in made:
        return None
    return Repair((argument_added(module, site.node, f'algorithms=["{made.pop()}"]'),))


def _algorithm(site: CallSite, resolver: Resolver) -> str | None:
    given = site.argument("algorithm", 2)
    return literals.text(resolver, given, site.scope) if given is not None else "HS256"  # the default of PyJWT and jose


EXAMPLES = [
    Bad(
        """
        import jwt

        def user(header: bytes):
            token = header.decode("utf-8")
            return jwt.decode(token, options={"verify_signature": False})["sub"]  # found
    """,
        by_hand=1,
    ),
    Bad(
        """
        import jwt

        def read(token, key):
            jwt.decode(token, key)  # found
            jwt.decode(token, key, algorithms="HS256")  # found
            jwt.decode(token, key, ["HS256"], options={"verify_exp": False})  # found

        def peek(token):
            return jwt.decode(token, options={"verify_signature": False})  # found

        def make(user):
            return jwt.encode({"sub": user}, "key", algorithm="HS256")  # found
    """,
        by_hand=3,
    ),
    Good(
        """
        import jwt

        def revoke(token, key, revoked):
            claims = jwt.decode(token, key, algorithms=["HS256"], options={"verify_exp": False})
            revoked.add(claims["jti"], until=claims.get("exp"))

        def ends_at(token, key):
            return jwt.decode(token, key, algorithms=["HS256"], options={"verify_exp": False})["exp"]
    """,
        "when it ends is asked of a token that may have ended",
    ),
    Bad(
        """
        import jwt

        def caller(token, key):
            claims = jwt.decode(token, key, algorithms=["HS256"], options={"verify_exp": False})  # found
            return claims["sub"] if claims["exp"] else None
    """,
        by_hand=1,
    ),
    Good("""
        # file: app/tokens.py
        import jwt

        ALGORITHM = "HS256"

        def read(token, key, **options):
            jwt.decode(token, key, algorithms=[ALGORITHM])
            return jwt.decode(token, key, **options)

        def make(claims, exp):
            payload = {"sub": 1}
            payload["exp"] = exp
            jwt.encode(payload, "key")
            return jwt.encode({**claims, "exp": exp}, "key")

        def by_issuer(token, keys):
            issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
            return jwt.decode(token, keys[issuer], algorithms=["RS256"])
        # file: app/jwt.py
        def decode(token):
            return token
        # file: app/main.py
        from app import jwt

        jwt.decode("x")
    """),
    Good(
        """
        import jwt
        from app.config import settings

        ALGORITHMS = ("RS256",)

        def verified(token, keys):
            key = keys[jwt.get_unverified_header(token)["kid"]]
            return jwt.decode(token, key, algorithms=ALGORITHMS, options={"verify_aud": False})

        def own(token):
            return jwt.decode(token, settings.key, [settings.algorithm])
        # file: app/config.py
        class Settings:
            key: str
            algorithm: str = "HS256"

        settings = Settings()
    """,
        "the header is read to choose the key, and the algorithms come from where settings are",
    ),
    Good(
        """
        # file: app/main.py
        import base64
        import jwt
        from app import jwt as own

        def read(token, body):
            return own.decode(token), base64.b64decode(token), body.decode("utf-8")

        def token(user, until):
            claims = {"sub": user}
            claims.update(exp=until)
            return jwt.encode(claims, "key", algorithm="HS256")

        def page_token(offset):
            return jwt.encode({"offset": offset}, "key", algorithm="HS256")
        # file: app/jwt.py
        def decode(token): ...
    """,
        "other things decode, and a token gets its end in another line",
    ),
    Good(
        """
        import logging
        import jwt

        class Provider:
            def decode_token(self, token):
                return jwt.decode(token, "key", algorithms=["RS256"])

            def user(self, token):
                try:
                    return self.decode_token(token)
                except jwt.PyJWTError:
                    logging.exception("refused: %r", jwt.decode(token, options={"verify_signature": False}))
                    return None
    """,
        "what did not verify is shown in the log, and nobody is let in",
    ),
    Good(
        """
        import jwt

        ISSUER = "https://login.example.org"

        class Decoder:
            def is_for(self, token):
                try:
                    claims = jwt.decode(token, options={"verify_signature": False})
                except jwt.PyJWTError:
                    return False
                return claims["iss"] == ISSUER and "orders" in claims.get("aud", [])

            def decode(self, token, key):
                return jwt.decode(token, key, algorithms=["RS256"], issuer=ISSUER, audience="orders")
    """,
        "who made it, and for whom, chooses the one that verifies it",
    ),
    Bad(
        """
        import jwt

        def is_ours(token):
            claims = jwt.decode(token, options={"verify_signature": False})  # found
            return claims["iss"] == "https://login.example.org" and claims.get("role") == "admin"
    """,
        by_hand=1,
    ),
]
