"""Development tokens: who can issue them, and where they are believed."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from fastness.auth import Reason, Refused
from fastness.auth.dev import DevIssuer

pytestmark = pytest.mark.anyio


def dev(directory: Path, **changes: Any) -> DevIssuer:
    return DevIssuer(directory, **{"environment": "development", "audience": "relay", "clock": lambda: 1e9, **changes})


@pytest.mark.parametrize("environment", ["production", "staging", "prod", "", "Development"])
def test_refuses_every_environment_but_development_and_test(tmp_path: Path, environment: str) -> None:
    """A name that is not known is as good as production, and no key is made."""
    with pytest.raises(ValueError, match="development tokens are refused"):
        dev(tmp_path / "keys", environment=environment)
    assert not (tmp_path / "keys").exists()


async def test_its_verifier_accepts_its_tokens(tmp_path: Path) -> None:
    """A token proves what it was issued for."""
    issuer = dev(tmp_path)
    token = issuer.issue_token(subject="ada", tenant="acme", scopes=["a", "b"], lifetime=60)
    principal = await issuer.verifier().verify(token)
    assert (principal.subject, principal.tenant, principal.scopes) == ("ada", "acme", {"a", "b"})
    assert principal.claims["exp"] - principal.claims["iat"] == 60


async def test_processes_share_the_key_of_a_directory(tmp_path: Path) -> None:
    """The server verifies what the command line issued; another directory has another key."""
    token = dev(tmp_path / "one").issue_token()
    assert (await dev(tmp_path / "one").verifier().verify(token)).subject == "developer"
    with pytest.raises(Refused) as refused:
        await dev(tmp_path / "two").verifier().verify(token)
    assert refused.value.reason is Reason.UNKNOWN_KEY


async def test_tokens_expire_and_are_for_one_service(tmp_path: Path) -> None:
    """A development token is checked like any other."""
    token = dev(tmp_path).issue_token(lifetime=60)
    for changes, reason in (
        ({"clock": lambda: 1e9 + 91}, Reason.EXPIRED),
        ({"audience": "other"}, Reason.AUDIENCE),
    ):
        with pytest.raises(Refused) as refused:
            await dev(tmp_path, **changes).verifier().verify(token)
        assert refused.value.reason is reason


@pytest.mark.parametrize("lifetime", [0, -1, 31 * 86_400])
def test_lifetimes_are_bounded(tmp_path: Path, lifetime: int) -> None:
    """A token lives for a second at least and a month at most."""
    with pytest.raises(ValueError, match="lifetime"):
        dev(tmp_path).issue_token(lifetime=lifetime)


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    """The file and its directory are made readable for nobody else, and no draft is left behind."""
    dev(tmp_path / "keys").issue_token()
    [path] = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_trusted_set_has_no_private_half(tmp_path: Path) -> None:
    """What the service trusts cannot sign: `StaticKeys` would refuse a private key."""
    issuer = dev(tmp_path)
    assert issuer.keys().serves(["Ed25519"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_refuses_a_key_that_others_can_reach(tmp_path: Path, mode: int) -> None:
    """A key that someone else may have read or written is not used."""
    dev(tmp_path).issue_token()
    [path] = tmp_path.iterdir()
    path.chmod(mode)
    with pytest.raises(ValueError, match="others can read it"):
        dev(tmp_path).issue_token()


def test_refuses_a_link_in_place_of_the_key(tmp_path: Path) -> None:
    """A symbolic link is not followed."""
    dev(tmp_path / "mine").issue_token()
    [path] = (tmp_path / "mine").iterdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / path.name).symlink_to(path)
    with pytest.raises(ValueError, match=path.name):
        dev(tmp_path / "theirs").issue_token()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}', '{"kty": "EC"}'])
def test_a_broken_key_says_what_to_do(tmp_path: Path, text: str) -> None:
    """The error names the file and the way out."""
    path = tmp_path / "signing-key.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match=r"signing-key\.json: .* delete it"):
        dev(tmp_path).issue_token()


def test_the_public_half_alone_cannot_issue(tmp_path: Path) -> None:
    """A file with only the public key is refused."""
    dev(tmp_path).issue_token()
    [path] = tmp_path.iterdir()
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "d"}))
    with pytest.raises(ValueError, match="not an Ed25519 private key"):
        dev(tmp_path).issue_token()


async def test_all_who_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    """Server and worker start together: one key survives, and both use it."""
    start = threading.Barrier(4)
    tokens: list[str] = []

    def issue() -> None:
        issuer = dev(tmp_path)
        start.wait()
        tokens.append(issuer.issue_token())

    threads = [threading.Thread(target=issue) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 4
    for token in tokens:
        assert (await dev(tmp_path).verifier().verify(token)).subject == "developer"


def test_who_comes_second_takes_the_key_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that saw no key, and made one in the meantime like another, leaves the other's in place."""
    token = dev(tmp_path).issue_token()
    monkeypatch.setattr(Path, "exists", lambda _: False)
    # The header of a token names its key.
    assert dev(tmp_path).issue_token().partition(".")[0] == token.partition(".")[0]
    assert len(list(tmp_path.iterdir())) == 1
