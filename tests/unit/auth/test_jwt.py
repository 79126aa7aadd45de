"""Which tokens are accepted, and what each proves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import OctKey, OKPKey, RSAKey

from fastness.auth import JWTVerifier, Principal, Reason, Refused, StaticKeys

pytestmark = pytest.mark.anyio

fixed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def verifier(issuer: Any, /, **changes: Any) -> JWTVerifier:
    options = {
        "issuer": issuer.name,
        "audience": issuer.audience,
        "keys": StaticKeys(issuer.jwks()),
        "algorithms": ("RS256", "ES256", "Ed25519"),
        "clock": lambda: float(issuer.now),
    }
    return JWTVerifier(**{**options, **changes})


async def refusal(verifier: JWTVerifier, token: str) -> Reason:
    with pytest.raises(Refused) as refused:
        await verifier.verify(token)
    return refused.value.reason


@pytest.fixture(scope="session")
def b64() -> Any:
    def encode(value: Any) -> str:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return encode


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519"])
async def test_accepts_a_valid_token(issuer: Any, algorithm: str) -> None:
    """A token of the issuer proves its subject, tenant and scopes."""
    token = issuer.token(algorithm=algorithm, tenant="acme", scope="events:read events:write")
    principal = await verifier(issuer).verify(token)
    assert principal == Principal("alice", "acme", frozenset({"events:read", "events:write"}), "jwt")
    assert principal.claims["iss"] == issuer.name


async def test_eddsa_is_accepted_by_its_older_name(issuer: Any) -> None:
    """An issuer that still calls Ed25519 by the name of RFC 8037 works, without a warning on each token."""
    token = issuer.sign({"alg": "EdDSA", "typ": "at+jwt", "kid": "ed"}, issuer.claims(), issuer.ed, "EdDSA")
    assert (await verifier(issuer, algorithms=("EdDSA",)).verify(token)).subject == "alice"


async def test_claims_of_a_principal_are_read_only_and_not_in_its_repr(issuer: Any) -> None:
    """Claims may hold personal data, and verified facts do not change afterwards."""
    principal = await verifier(issuer).verify(issuer.token(email="alice@example.org"))
    assert "alice@example.org" not in repr(principal)
    with pytest.raises(TypeError):
        principal.claims["sub"] = "mallory"  # type: ignore[index]


# --- algorithms and keys


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_refuses_unsigned_tokens(issuer: Any, b64: Any, name: str, signature: str) -> None:
    """alg=none is refused in every spelling, with and without a signature."""
    token = f"{b64({'alg': name, 'typ': 'at+jwt', 'kid': 'rsa'})}.{b64(issuer.claims())}.{signature}"
    assert await refusal(verifier(issuer), token) is Reason.ALGORITHM


@pytest.mark.parametrize("form", ["pem", "der", "modulus"])
async def test_refuses_a_public_key_used_as_shared_secret(issuer: Any, b64: Any, form: str) -> None:
    """A token that is signed with HS256 and the public key as its secret is refused: the token does not choose."""
    secret = {
        "pem": issuer.rsa.as_pem(private=False),
        "der": issuer.rsa.as_der(private=False),
        "modulus": issuer.rsa.as_dict(private=False)["n"].encode(),
    }[form]
    text = f"{b64({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'rsa'})}.{b64(issuer.claims())}"
    token = f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"
    assert await refusal(verifier(issuer), token) is Reason.ALGORITHM


async def test_refuses_an_algorithm_that_is_not_listed(issuer: Any) -> None:
    """A right signature by a right key is refused when its algorithm was not given."""
    assert await refusal(verifier(issuer, algorithms=("ES256",)), issuer.token()) is Reason.ALGORITHM


async def test_refuses_a_key_of_another_kind(issuer: Any) -> None:
    """The key named by a token must fit the token's algorithm, also when both are known."""
    token = issuer.token(header={"kid": "ec"})
    assert await refusal(verifier(issuer), token) is Reason.UNKNOWN_KEY


async def test_refuses_a_key_that_is_meant_for_another_algorithm(issuer: Any) -> None:
    """A key that says alg=PS256 verifies no RS256 token."""
    entry = issuer.rsa.as_dict(private=False) | {"alg": "PS256"}
    pinned = verifier(issuer, keys=StaticKeys({"keys": [entry]}), algorithms=("RS256", "PS256"))
    assert await refusal(pinned, issuer.token()) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("alg", [None, 5, [], ["RS256"], {}, ""])
async def test_refuses_an_algorithm_that_is_no_name(issuer: Any, alg: Any) -> None:
    """Anything but a listed name is refused."""
    assert await refusal(verifier(issuer), issuer.token(header={"alg": alg})) is Reason.ALGORITHM


async def test_a_key_id_may_be_long(issuer: Any) -> None:
    """Up to 255 characters, and no longer, even where there is such a key."""
    for length, accepted in ((255, True), (256, False)):
        key = OKPKey.import_key(issuer.ed.as_dict(private=True) | {"kid": "k" * length})
        made = verifier(issuer, keys=StaticKeys(issuer.jwks(key)))
        token = issuer.token(key=key, algorithm="Ed25519")
        if accepted:
            assert (await made.verify(token)).subject == "alice"
        else:
            assert await refusal(made, token) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("kid", ["nobody", "", 5, ["rsa"], "r" * 300, "../../etc/passwd", "' OR 1=1"])
async def test_refuses_an_unknown_key_id(issuer: Any, kid: Any) -> None:
    """A kid is only ever compared."""
    assert await refusal(verifier(issuer), issuer.token(header={"kid": kid})) is Reason.UNKNOWN_KEY


async def test_a_token_without_key_id_needs_a_single_fitting_key(issuer: Any) -> None:
    """Without kid, the only key for the algorithm is used; with two there is no guessing."""
    token = issuer.token(header={"kid": ...})
    assert (await verifier(issuer).verify(token)).subject == "alice"
    other = RSAKey.generate_key(2048, {"kid": "rsa-2"})
    two = StaticKeys(issuer.jwks(issuer.rsa, other))
    assert await refusal(verifier(issuer, keys=two), token) is Reason.UNKNOWN_KEY


async def test_refuses_a_signature_by_another_key(issuer: Any) -> None:
    """A stranger's signature under the issuer's kid is refused."""
    assert await refusal(verifier(issuer), issuer.token(key=issuer.stranger)) is Reason.SIGNATURE


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/chain.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
        {"cty": "JWT"},
        {"custom": {"a": 1}},
    ],
)
async def test_ignores_keys_that_a_token_brings_along(issuer: Any, header: dict[str, Any]) -> None:
    """jku, x5u, x5c and unknown headers change nothing: a good token stays good and a forged one stays refused."""
    assert (await verifier(issuer).verify(issuer.token(header=header))).subject == "alice"
    assert await refusal(verifier(issuer), issuer.token(key=issuer.stranger, header=header)) is Reason.SIGNATURE


@pytest.mark.parametrize("kid", ["rsa", "evil", ...])
async def test_ignores_an_embedded_key(issuer: Any, kid: Any) -> None:
    """A token that carries the very key it was signed with proves nothing (RFC 8725, section 3.10)."""
    embedded = issuer.stranger.as_dict(private=False)
    token = issuer.token(key=issuer.stranger, header={"jwk": embedded, "kid": kid})
    assert await refusal(verifier(issuer), token) in {Reason.SIGNATURE, Reason.UNKNOWN_KEY}
    assert (await verifier(issuer).verify(issuer.token(header={"jwk": embedded}))).subject == "alice"


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "exp", None, ["kid"]])
async def test_refuses_critical_headers(issuer: Any, crit: Any) -> None:
    """No extension is understood, so one that must be understood is refused (RFC 7515, section 4.1.11)."""
    token = issuer.token(header={"crit": crit, "exp": 1, "b64": True})
    assert await refusal(verifier(issuer), token) is Reason.CRITICAL


async def test_refuses_unencoded_payloads(issuer: Any) -> None:
    """b64=false (RFC 7797) is refused."""
    token = issuer.token(header={"crit": ["b64"], "b64": False})
    assert await refusal(verifier(issuer), token) in {Reason.CRITICAL, Reason.MALFORMED}


async def test_shared_secrets_work_alone(issuer: Any) -> None:
    """HS256 is possible for those who ask for it, with a long enough secret."""
    secret = OctKey.generate_key(256, {"kid": "s"})
    keys = StaticKeys({"keys": [secret.as_dict()]})
    shared = verifier(issuer, keys=keys, algorithms=("HS256",))
    assert (await shared.verify(issuer.token(key=secret, algorithm="HS256"))).subject == "alice"
    other = OctKey.generate_key(256, {"kid": "s"})
    assert await refusal(shared, issuer.token(key=other, algorithm="HS256")) is Reason.SIGNATURE


# --- type


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
async def test_accepts_access_tokens_in_every_spelling(issuer: Any, typ: str) -> None:
    """typ has no case and may leave out application/ (RFC 7515, section 4.1.9)."""
    assert (await verifier(issuer).verify(issuer.token(header={"typ": typ}))).subject == "alice"


@pytest.mark.parametrize("typ", ["JWT", ..., "", "logout+jwt", "dpop+jwt", 5, None])
async def test_refuses_other_types(issuer: Any, typ: Any) -> None:
    """An ID token, a logout token and a token without type are not access tokens (RFC 9068, section 4)."""
    assert await refusal(verifier(issuer), issuer.token(header={"typ": typ})) is Reason.TYPE


async def test_types_can_be_widened_for_issuers_that_do_not_follow_rfc_9068(issuer: Any) -> None:
    """What the issuer really sends can be named, and nothing else gets in by that."""
    wide = verifier(issuer, types=("at+jwt", "JWT", ""))
    for typ in ("JWT", "jwt", ...):
        assert (await wide.verify(issuer.token(header={"typ": typ}))).subject == "alice"
    assert await refusal(wide, issuer.token(header={"typ": "logout+jwt"})) is Reason.TYPE


# --- claims


@pytest.mark.parametrize(
    ("claim", "value", "reason"),
    [
        ("iss", "https://issuer.example/", Reason.ISSUER),
        ("iss", "https://evil.example", Reason.ISSUER),
        ("iss", ["https://issuer.example"], Reason.ISSUER),
        ("iss", ..., Reason.ISSUER),
        ("aud", "other", Reason.AUDIENCE),
        ("aud", "relay2", Reason.AUDIENCE),
        ("aud", ["other"], Reason.AUDIENCE),
        ("aud", [], Reason.AUDIENCE),
        ("aud", [["relay"]], Reason.AUDIENCE),
        ("aud", {"relay": 1}, Reason.AUDIENCE),
        ("aud", ..., Reason.AUDIENCE),
        ("aud", None, Reason.AUDIENCE),
        ("exp", ..., Reason.CLAIMS),
        ("exp", None, Reason.CLAIMS),
        ("exp", "1900000000", Reason.CLAIMS),
        ("exp", True, Reason.CLAIMS),
        ("exp", float("nan"), Reason.CLAIMS),
        ("exp", float("inf"), Reason.CLAIMS),
        ("exp", 0, Reason.EXPIRED),
        ("exp", -(10**400), Reason.EXPIRED),
        ("nbf", "soon", Reason.CLAIMS),
        ("nbf", None, Reason.CLAIMS),
        ("iat", "now", Reason.CLAIMS),
        ("iat", float("nan"), Reason.CLAIMS),
        ("sub", ..., Reason.CLAIMS),
        ("sub", "", Reason.CLAIMS),
        ("sub", 5, Reason.CLAIMS),
        ("sub", "a" * 256, Reason.CLAIMS),
        ("sub", "alice\nadmin", Reason.CLAIMS),
        ("sub", "\ud800", Reason.CLAIMS),
        ("tenant", 5, Reason.CLAIMS),
        ("tenant", "", Reason.CLAIMS),
        ("tenant", "acme\r\nx-admin: 1", Reason.CLAIMS),
        ("scope", 5, Reason.CLAIMS),
        ("scope", {"a": 1}, Reason.CLAIMS),
        ("scope", ["a", 5], Reason.CLAIMS),
        ("scope", ["a"] * 201, Reason.CLAIMS),
    ],
)
async def test_refuses_wrong_claims(issuer: Any, claim: str, value: Any, reason: Reason) -> None:
    """Required claims are there, and every claim that is used is of the right kind."""
    assert await refusal(verifier(issuer), issuer.token(**{claim: value})) is reason


@pytest.mark.parametrize(
    ("claim", "value"), [("sub", "a" * 255), ("tenant", "a"), ("scope", [f"s{number}" for number in range(200)])]
)
async def test_accepts_claims_up_to_their_limits(issuer: Any, claim: str, value: Any) -> None:
    """The longest name and the longest list that are allowed are taken."""
    assert (await verifier(issuer).verify(issuer.token(**{claim: value}))).claims[claim] == value


async def test_an_audience_may_be_one_of_several(issuer: Any) -> None:
    """One match of what is offered with what is expected suffices."""
    several = verifier(issuer, audience=["relay", "relay-internal"])
    assert (await several.verify(issuer.token(aud=["other", "relay-internal"]))).subject == "alice"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iat": -300, "exp": -30}, Reason.EXPIRED),
        ({"iat": -300, "exp": -29}, None),
        ({"nbf": 30}, None),
        ({"nbf": 31}, Reason.NOT_YET_VALID),
        ({"iat": 30}, None),
        ({"iat": 31}, Reason.NOT_YET_VALID),
        ({"iat": 10, "exp": 10}, None),
        ({"iat": 11, "exp": 10}, Reason.CLAIMS),
    ],
)
async def test_times_are_exact_to_the_leeway(issuer: Any, changes: dict[str, int], reason: Reason | None) -> None:
    """A token is good until just before exp plus leeway, and from nbf and iat minus leeway on."""
    token = issuer.token(**{claim: issuer.now + offset for claim, offset in changes.items()})
    if reason is None:
        assert (await verifier(issuer, leeway=30).verify(token)).subject == "alice"
    else:
        assert await refusal(verifier(issuer, leeway=30), token) is reason


@pytest.mark.parametrize(
    ("value", "scopes"), [("", set()), ("a", {"a"}), (" a  b ", {"a", "b"}), (["a", "b"], {"a", "b"}), (..., set())]
)
async def test_scopes_come_as_text_or_list(issuer: Any, value: Any, scopes: set[str]) -> None:
    """RFC 8693 has a string, other issuers a list; a token without scopes has none."""
    principal = await verifier(issuer, scope_claim="scp").verify(issuer.token(scope="root", scp=value))
    assert principal.scopes == scopes


async def test_tenants_are_optional(issuer: Any) -> None:
    """A service without tenants does not read the claim; one with tenants may name another."""
    token = issuer.token(tenant=5, org="acme")
    assert (await verifier(issuer, tenant_claim=None).verify(token)).tenant is None
    assert (await verifier(issuer, tenant_claim="org").verify(token)).tenant == "acme"


# --- hostile text


async def test_refuses_oversized_tokens_unread(issuer: Any) -> None:
    """What is longer than max_size is not even parsed."""
    token = issuer.token(padding="x" * 8192)
    assert await refusal(verifier(issuer), token) is Reason.OVERSIZED
    assert await refusal(verifier(issuer, max_size=len(token) - 1), token) is Reason.OVERSIZED
    assert (await verifier(issuer, max_size=len(token)).verify(token)).subject == "alice"


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_refuses_tampered_tokens(issuer: Any, b64: Any, part: int) -> None:
    """Header, claims and signature of two good tokens do not mix."""
    parts = issuer.token().split(".")
    parts[part] = issuer.token(sub="mallory", header={"x": 1}).split(".")[part]
    assert await refusal(verifier(issuer), ".".join(parts)) is Reason.SIGNATURE


@pytest.mark.parametrize("header", [["alg"], "alg b64", 5, None, ["alg", "b64"], [["alg"]], True])
async def test_refuses_headers_that_are_no_object(issuer: Any, header: Any, b64: Any) -> None:
    """A header of any other JSON type is malformed."""
    assert await refusal(verifier(issuer), f"{b64(header)}.{b64(issuer.claims())}.AAAA") is Reason.MALFORMED


@pytest.mark.parametrize("payload", [[], "x", 5, None, b"", b"{", b"\xff", b"[" * 3000, b'{"exp": ' + b"9" * 5000 + b"}"])
async def test_refuses_claims_that_are_no_object(issuer: Any, payload: Any) -> None:
    """Signed text that is not a JSON object proves nothing, however deep or long."""
    assert await refusal(verifier(issuer, max_size=20_000), issuer.token(payload)) in {Reason.CLAIMS, Reason.MALFORMED}


async def test_refuses_deep_headers(issuer: Any, b64: Any) -> None:
    """Nesting that exhausts the parser is a refusal, not an error."""
    assert await refusal(verifier(issuer), f"{b64(b'[' * 4000)}.e30.AAAA") is Reason.MALFORMED


@fixed
@given(text=st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_.=+/-]{0,200}"), st.from_regex(r"\A[\w-]*\.[\w-]*\.[\w-]*\Z")))
async def test_refuses_any_text(issuer: Any, text: str) -> None:
    """No text that the issuer did not sign is accepted, and none makes the verifier fail."""
    await refusal(verifier(issuer), text)


@fixed
@given(data=st.data())
async def test_refuses_any_change_of_a_character(issuer: Any, data: st.DataObject) -> None:
    """A good token with one character changed is refused, wherever it is."""
    token = issuer.token(algorithm="Ed25519")
    position = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from("ABCwxyz059-_.=+").filter(lambda char: char != token[position]))
    await refusal(verifier(issuer), token[:position] + character + token[position + 1 :])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@fixed
@given(header=json_values | st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jku", "jwk"]), json_values))
async def test_refuses_any_header_of_a_stranger(issuer: Any, header: Any) -> None:
    """Whatever the header says, a signature by another key is refused."""
    await refusal(verifier(issuer), issuer.token(header=header, key=issuer.stranger))


@fixed
@given(changes=st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "scope", "tenant"]), json_values))
async def test_any_signed_claims_end_in_a_principal_or_a_refusal(issuer: Any, changes: dict[str, Any]) -> None:
    """An issuer that signs nonsense causes no error, and whoever gets in has the right issuer and audience."""
    try:
        principal = await verifier(issuer).verify(issuer.token(algorithm="Ed25519", **changes))
    except Refused:
        return
    assert principal.claims["iss"] == issuer.name
    assert issuer.audience in principal.claims["aud"]
    assert principal.subject.isprintable()


# --- configuration


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ""},
        {"audience": ""},
        {"audience": []},
        {"audience": ["relay", ""]},
        {"algorithms": ()},
        {"algorithms": "RS256"},
        {"algorithms": ("none",)},
        {"algorithms": ("RS256", "none")},
        {"algorithms": ("RS256", "HS256")},
        {"algorithms": ("ES256K",)},
        {"algorithms": ("HS256",)},
        {"algorithms": ("ES512",)},
        {"leeway": -1},
        {"leeway": 301},
        {"max_size": 255},
        {"types": ()},
        {"types": "at+jwt"},
    ],
)
def test_refuses_configuration_that_would_not_be_safe(issuer: Any, changes: dict[str, Any]) -> None:
    """A verifier that would trust too much, or nothing, is not made."""
    with pytest.raises(ValueError):
        verifier(issuer, **changes)


async def test_accepts_configuration_at_its_limits(issuer: Any) -> None:
    """No leeway, the greatest one, and the least size are all a choice that can be made."""
    assert (await verifier(issuer, leeway=0).verify(issuer.token())).subject == "alice"
    assert (await verifier(issuer, leeway=300).verify(issuer.token())).subject == "alice"
    assert await refusal(verifier(issuer, max_size=256), "a" * 257) is Reason.OVERSIZED
    assert await refusal(verifier(issuer, max_size=256), "a" * 256) is Reason.MALFORMED
