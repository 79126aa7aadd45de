"""A check with a cache tells exactly what one without it tells, whatever was edited and whatever the cache holds."""

import ast
import errno
import gc
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastness.tool.check import cache, engine, local, run
from fastness.tool.check.rule import Rule
from fastness.tool.errors import CommandError
from fastness.tool.findings import Finding
from fastness.tool.project.source import module
from fastness.tool.project.source.module import Module

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the user's cache directory is set as XDG does")

_FILES = {
    "app/__init__.py": "",
    "app/main.py": """
        from fastapi import FastAPI
        from app.routes import users

        app = FastAPI()
        app.include_router(users.router, prefix="/users")
    """,
    "app/routes/__init__.py": "",
    "app/routes/users.py": """
        from fastapi import APIRouter
        from app.clients import client

        router = APIRouter()

        @router.get("/{name}")
        async def show(name: str):
            return client.Users().fetch(name)
    """,
    "app/clients/__init__.py": "",
    "app/clients/base.py": """
        import requests

        class Client:
            def fetch(self, name):
                return requests.get(f"https://example.org/{name}").json()
    """,
    "app/clients/client.py": """
        from app.clients.base import Client

        class Users(Client):
            def log_in(self, token):
                self.info("logged in with %s", token)
    """,
    "app/tools/ask.py": "import requests\n\n\ndef ask():\n    return requests.get('https://example.org')\n",
    "tests/test_users.py": "def test_users(client):\n    assert client.get('/users/ada')\n",
    "pyproject.toml": '[project]\nname = "demo"\ndependencies = ["fastapi", "requests"]\n',
    "uv.lock": '[[package]]\nname = "fastapi"\nversion = "0.110.0"\n',
}


class _Demo:
    """A small service whose endpoint blocks in a method that it inherits, three files away."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path, text in _FILES.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = text.split("\n")
        file.write_text("\n".join(line.removeprefix("        ") for line in lines))

    def replace(self, path: str, old: str, new: str) -> None:
        """Does nothing where an earlier edit has taken the text away."""
        file = self.root / path
        if file.exists():
            file.write_text(file.read_text().replace(old, new))

    def remove(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)

    def rename(self, path: str, other: str) -> None:
        if (self.root / path).exists():
            (self.root / path).replace(self.root / other)


# Every kind of edit that can change what is found, each with an effect on a rule that reads it from far away.
_EDITS: dict[str, Callable[[_Demo], None]] = {
    "a file more": lambda demo: demo.write("app/jobs.py", "import time\n\n\nasync def tick():\n    time.sleep(1)\n"),
    "a file less": lambda demo: demo.remove("app/clients/base.py"),
    "another name": lambda demo: demo.rename("app/clients/base.py", "app/clients/basis.py"),
    "another import": lambda demo: demo.replace("app/routes/users.py", "from app.clients import client", "import client"),
    "another base": lambda demo: demo.replace("app/clients/client.py", "Users(Client)", "Users"),
    "a base again": lambda demo: demo.replace("app/clients/client.py", "class Users:", "class Users(Client):"),
    "a script that is served": lambda demo: demo.replace(
        "app/main.py", "import users\n", "import users\nfrom app.tools import ask\n"
    ),
    "another body": lambda demo: demo.replace("app/clients/base.py", "requests.get(", "print("),
    "a comment": lambda demo: demo.replace("app/main.py", "app = FastAPI()", "# the app\napp = FastAPI()"),
    "a suppression": lambda demo: demo.replace(
        "app/routes/users.py", "async def show(name: str):", "async def show(name: str):  # fastness: allow[concurrency] known"
    ),
    "a syntax error": lambda demo: demo.replace("app/clients/client.py", "class Users", "class class Users"),
    "no syntax error": lambda demo: demo.replace("app/clients/client.py", "class class", "class"),
    "a broken test": lambda demo: demo.write("tests/test_users.py", "def test_users(:\n"),
    "no test": lambda demo: demo.write("tests/test_users.py", "def test_nothing():\n    pass\n"),
    "not text": lambda demo: (demo.root / "app/data.py").write_bytes(b"x = '\xff'\n") and None,
    "an ignored directory": lambda demo: demo.write(".gitignore", "clients/\n"),
    "another dependency": lambda demo: demo.replace("pyproject.toml", '"requests"', '"httpx", "sqlalchemy<2"'),
    "a setting": lambda demo: demo.replace(
        "pyproject.toml", "[project]", '[tool.fastness.check.ignore]\nsecurity = "elsewhere"\n\n[project]'
    ),
    "another lock": lambda demo: demo.replace("uv.lock", "0.110.0", "0.50.0"),
    "no lock": lambda demo: demo.remove("uv.lock"),
    "an image": lambda demo: demo.write("Dockerfile", 'FROM python:3.7\nCMD ["uvicorn", "app.main:app", "--reload"]\n'),
    "a repository": lambda demo: (demo.root / ".git").mkdir(exist_ok=True),
}
_NO_EFFECT = {"a base again", "no syntax error"}  # on the project as it is at first


@pytest.fixture
def demo(tmp_path: Path) -> _Demo:
    return _Demo(tmp_path / "demo")


_Check = Callable[..., tuple[int, object]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> _Check:
    """Runs the command and gives its exit code and its JSON without the time that it took."""

    def check(root: Path, **options: object) -> tuple[int, object]:
        limit = sys.getrecursionlimit()
        code = run.run(root, form="json", **options)  # type: ignore[arg-type]
        gc.enable()  # the command switches it off, as its process ends soon; this one goes on
        sys.setrecursionlimit(limit)
        document = json.loads(capsys.readouterr().out)
        del document["summary"]["seconds"]
        return code, document

    return check


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with every check that is really made."""
    made: list[str] = []
    real = engine.check

    def counting(*arguments: object, **options: object) -> object:
        made.append("check")
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "check", counting)
    return made


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(edits=st.lists(st.sampled_from(sorted(_EDITS)), min_size=1, max_size=5))
def test_after_any_edits_the_same_is_found(edits: list[str], check: _Check) -> None:
    """After each of any edits, a check with a cache, another one, and one without tell the same."""
    with tempfile.TemporaryDirectory() as directory:
        demo = _Demo(Path(directory, "demo"))
        check(demo.root)
        for edit in edits:
            _EDITS[edit](demo)
            cold = check(demo.root, cached=False)
            assert check(demo.root) == cold
            assert check(demo.root) == cold


@pytest.mark.parametrize("edit", sorted(_EDITS.keys() - _NO_EFFECT))
def test_every_edit_is_seen(edit: str, demo: _Demo, check: _Check, checks: list[str]) -> None:
    """Without an edit nothing is checked again; after one it is, and undoing it finds what was kept before."""
    before = check(demo.root)
    assert check(demo.root) == before
    assert len(checks) == 1
    saved = shutil.copytree(demo.root, demo.root.parent / "saved")
    _EDITS[edit](demo)
    check(demo.root)
    assert len(checks) == 2
    shutil.rmtree(demo.root)
    shutil.copytree(saved, demo.root)
    assert check(demo.root) == before
    assert len(checks) == 2


def test_the_blocking_call_is_found_again(demo: _Demo, check: _Check) -> None:
    """The finding that these tests watch is there, and an edit of the file that holds its cause takes it away."""
    rules = {finding["rule"] for finding in check(demo.root)[1]["findings"]}  # type: ignore[index]
    assert "concurrency/blocking-call-in-async" in rules
    _EDITS["another body"](demo)
    rules = {finding["rule"] for finding in check(demo.root)[1]["findings"]}  # type: ignore[index]
    assert "concurrency/blocking-call-in-async" not in rules


def test_other_selections_are_kept_apart(demo: _Demo, check: _Check, checks: list[str]) -> None:
    """What one selection of rules finds is not what another one finds; the severity that fails decides about the code only."""
    everything = check(demo.root)
    some = check(demo.root, select=["concurrency"])
    assert some != everything
    assert check(demo.root) == everything
    assert check(demo.root, select=["concurrency"]) == some
    [mild] = {finding["rule"] for finding in everything[1]["findings"] if finding["severity"] == "warning"}  # type: ignore[index]
    assert check(demo.root, select=[mild], fail_on="error")[0] == 0
    assert check(demo.root, select=[mild], fail_on="warning")[0] == 1
    assert len(checks) == 3


@pytest.mark.parametrize("what", ["fastness", "python"])
def test_another_version_reads_nothing(
    what: str, demo: _Demo, check: _Check, checks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another Fastness, or the same under another Python, has kept is not read."""
    check(demo.root)
    if what == "python":
        monkeypatch.setattr(sys, "version", "3.99.0")
    else:
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / "rule.py").write_text("another rule")
        monkeypatch.setattr("fastness.tool.__path__", [str(tmp_path / "code")])
    cache.stamp.cache_clear()
    check(demo.root)
    monkeypatch.undo()
    cache.stamp.cache_clear()
    assert len(checks) == 2


def _signed(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def _with(text: str, **changes: object) -> str:
    """A file with other parts, of the runs or of what is said of single modules, and the right checksum."""
    parts = [json.loads(line) for line in text.split("\n")[1:]]
    return _signed("\n".join(json.dumps({name: changes.get(name, value) for name, value in part.items()}) for part in parts))


_DAMAGE: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "truncated": lambda text: text[: len(text) // 2],
    "one letter": lambda text: text.replace('"line": 8', '"line": 9'),
    "no checksum": lambda text: text.partition("\n")[2],
    "not JSON": lambda _: _signed("cos\nsystem\n(S'true'\ntR."),
    "deeply nested": lambda _: _signed("[" * 200_000),
    "a list": lambda _: _signed("[]"),
    "no runs": lambda text: _with(text, runs=None),
    "strange runs": lambda text: _with(text, runs=[1, {"key": 2}, None]),
    "strange faults": lambda text: _with(text, faults=[1]),
    "foreign": lambda text: _with(text, stamp="another"),
    "no answers": lambda text: _signed(text.split("\n")[1].replace('"runs": [', '"runs": [1, ')),
    "strange answers": lambda text: _with(text, runs=[], answers={"layout": 1}),
    "strange outlines": lambda text: _with(text, runs=[], outlines=[1]),
}


@pytest.mark.parametrize("damage", sorted(_DAMAGE))
def test_a_damaged_cache_is_no_cache(damage: str, demo: _Demo, check: _Check, checks: list[str], own_cache: Path) -> None:
    """Whatever stands in the file, everything is checked, and what is kept then is good again."""
    cold = check(demo.root)
    [file] = own_cache.glob("*.json")
    file.write_text(_DAMAGE[damage](file.read_text()))
    assert check(demo.root) == cold
    assert len(checks) == 2
    assert check(demo.root) == cold
    assert len(checks) == 2


def test_a_project_cannot_bring_its_own_results(
    demo: _Demo, check: _Check, checks: list[str], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache in the checked directory is refused when it is asked for, and neither read nor written otherwise."""
    check(demo.root)
    runs, answers = next(own_cache.glob("*.json")).read_text().split("\n")[1:]
    clean = json.loads(runs)
    clean["runs"][0]["report"]["findings"] = []
    inside = demo.root / ".cache" / "fastness" / "check"
    inside.mkdir(parents=True)
    forged = inside / next(own_cache.glob("*.json")).name
    forged.write_text(_signed(f"{json.dumps(clean)}\n{answers}"))
    with pytest.raises(CommandError, match="is in the checked directory"):
        run.run(demo.root, cache_directory=inside)
    (demo.root.parent / "link").symlink_to(inside)
    with pytest.raises(CommandError, match="is in the checked directory"):
        run.run(demo.root, cache_directory=demo.root.parent / "link")
    monkeypatch.setenv("XDG_CACHE_HOME", str(demo.root / ".cache"))
    assert check(demo.root)[0] == 1
    assert len(checks) == 2
    assert json.loads(forged.read_text().split("\n")[1]) == clean


def test_what_others_may_write_is_not_read(demo: _Demo, check: _Check, checks: list[str], own_cache: Path) -> None:
    """A directory in which others can put files could hold their results."""
    check(demo.root)
    own_cache.chmod(0o777)
    check(demo.root)
    assert len(checks) == 2


def test_an_unusable_directory_is_no_error(
    demo: _Demo, check: _Check, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be kept, on a full disk too, the check is as it is without a cache."""
    cold = check(demo.root, cached=False)
    (tmp_path / "file").write_text("")
    assert check(demo.root, cache_directory=tmp_path / "file") == cold
    assert check(demo.root, cache_directory=tmp_path / "file" / "below") == cold

    def full(*_arguments: object, **_options: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    assert check(demo.root) == cold
    assert not list(own_cache.glob("*.json"))  # nor is half of a file left behind


def test_no_cache_keeps_nothing(demo: _Demo, check: _Check, own_cache: Path) -> None:
    """`--no-cache` writes no file."""
    check(demo.root, cached=False)
    assert not own_cache.exists()


def test_the_cache_is_bounded(demo: _Demo, check: _Check, own_cache: Path) -> None:
    """Of one project the last runs are kept, of all projects those that were checked lately; backups leave them out."""
    check(demo.root)
    [file] = own_cache.glob("*.json")
    size = file.stat().st_size
    for number in range(200):
        (own_cache / f"{number:032}.json").write_text("")
    old = time.time() - 40 * 24 * 3600
    for name in ("writing-left_over.json", "somebody-elses.json"):
        (own_cache / name).write_text("")
        os.utime(own_cache / name, (old, old))
    for number in range(8):
        demo.write("app/more.py", f"number = {number}\n")
        check(demo.root)
    assert (own_cache / "somebody-elses.json").exists()
    assert len(list(own_cache.glob("*.json"))) == 101
    assert file.exists()
    assert not (own_cache / "writing-left_over.json").exists()
    assert file.stat().st_size < 5 * size
    assert (own_cache / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert (own_cache / ".gitignore").read_text() == "*\n"


def test_a_directory_that_was_there_keeps_its_meaning(demo: _Demo, check: _Check, tmp_path: Path) -> None:
    """Only a directory that the check has made is marked as a cache: another may hold what has to be saved and committed."""
    (tmp_path / "shared").mkdir(mode=0o700)
    check(demo.root, cache_directory=tmp_path / "shared")
    [file] = (tmp_path / "shared").iterdir()
    assert file.suffix == ".json"


def _noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with every text that is parsed from now on."""
    parsed: list[str] = []
    real = module._parsed

    def noting(text: str) -> ast.Module:
        parsed.append(text)
        return real(text)

    monkeypatch.setattr(module, "_parsed", noting)
    return parsed


def test_tests_are_not_parsed_again(demo: _Demo, check: _Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an edit elsewhere, a file that no rule looks into is not parsed, and one that does not parse is still told."""
    demo.write("tests/test_broken.py", "def test_broken(:\n")
    check(demo.root)
    parsed = _noted(monkeypatch)
    _EDITS["a comment"](demo)
    told = check(demo.root)[1]
    assert any("# the app" in text for text in parsed)
    assert not any("def test_" in text for text in parsed)
    assert [one["path"] for one in told["not_checked"]] == ["tests/test_broken.py"]  # type: ignore[index]


def test_subclasses_are_not_parsed_again(demo: _Demo, check: _Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them answer for an abstract method is known of files that are not read."""
    clients = demo.root / "app/clients"
    (clients / "base.py").write_text("class Client:\n  def fetch(self, name):\n    raise NotImplementedError\n")
    for number in range(15):
        body = "def fetch(self, name): time.sleep(1)" if number < 3 else "pass"
        text = f"import time\nfrom app.clients.base import Client\n\nclass Client{number}(Client):\n  {body}\n"
        (clients / f"client_{number}.py").write_text(text)
    demo.replace("app/routes/users.py", "client.Users()", "given")
    demo.replace("app/routes/users.py", "name: str", "name: str, given: client.Client")
    told = check(demo.root)[1]
    assert "time.sleep" in json.dumps(told)
    parsed = _noted(monkeypatch)
    _EDITS["a comment"](demo)
    assert check(demo.root)[1]["findings"] == told["findings"]  # type: ignore[index]
    assert any("# the app" in text for text in parsed)
    assert not any("  pass" in text for text in parsed)


def test_what_calls_what_is_known_of_files_that_are_not_read(
    demo: _Demo, check: _Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an edit, only the files whose calls it can have changed are parsed, and those with something to tell of."""
    for number in range(20):
        text = f"from app.clients import way_{number + 1} as on\n\nasync def go(): await on.go()\n"
        demo.write(f"app/clients/way_{number}.py", text)
    demo.write("app/clients/way_20.py", "async def go(): ...\n")
    demo.replace("app/routes/users.py", "import client", "import client, way_0")
    demo.replace("app/routes/users.py", "    return client", "    await way_0.go()\n    return client")
    told = check(demo.root)[1]
    parsed = _noted(monkeypatch)
    _EDITS["a comment"](demo)
    assert check(demo.root)[1]["findings"] == told["findings"]  # type: ignore[index]
    assert any("# the app" in text for text in parsed)
    assert sum("on.go" in text for text in parsed) < 3
    demo.write("app/clients/way_20.py", "import time\n\nasync def go(): time.sleep(1)\n")
    found = check(demo.root)[1]
    assert "time.sleep (sleep) through go" in json.dumps(found)
    assert sum("on.go" in text for text in parsed) < 5


# Each has an effect on calls in a file that is as it was.
_FROM_AFAR = {
    "a function that was missing": ("app/clients/base.py", "\ndef waited():\n  import time\n  time.sleep(1)\n"),
    "another method of a subclass": ("app/clients/sub.py", "\n  def wait(self):\n    import time\n    time.sleep(1)\n"),
    "another subclass": (
        "app/clients/base.py",
        "\nclass Third(Client):\n  def wait(self):\n    import time\n    time.sleep(1)\n",
    ),
    "another caller": ("app/main.py", "\ndef calls():\n    import requests\n    users.asks(requests.Session())\n"),
    "another form": ("app/main.py", "\nclass Waits:\n  def waits(self):\n    import time\n    time.sleep(1)\n"),
}


@pytest.mark.parametrize("edit", _FROM_AFAR)
def test_what_calls_mean_is_asked_again(edit: str, demo: _Demo, check: _Check) -> None:
    """A name that was missing, what answers for an abstract method or for a protocol, and what callers give."""
    demo.write("app/clients/base.py", "class Client:\n  def wait(self):\n    raise NotImplementedError\n")
    demo.write("app/clients/sub.py", "from app.clients.base import Client\n\nclass Sub(Client):\n  def other(self): ...\n")
    demo.write(
        "app/routes/users.py",
        """
        from typing import Protocol
        from fastapi import APIRouter
        from app.clients import base

        router = APIRouter()

        class Form(Protocol):
            def waits(self): ...

        def asks(session):
            session.get("https://example.org", timeout=3)

        def form(form: Form):
            form.waits()

        @router.get("/{name}")
        async def show(name: str, client: base.Client, given: Form, session) -> None:
            client.wait()
            base.waited()
            form(given)
            asks(session)
        """,
    )
    assert "blocking-call" not in json.dumps(check(demo.root)[1])
    path, text = _FROM_AFAR[edit]
    demo.write(path, (demo.root / path).read_text() + text)
    told = check(demo.root)[1]
    assert told == check(demo.root, cached=False)[1]
    assert "blocks the event loop" in json.dumps(told)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Grows with every module that rules about single modules are asked about, and with their names."""
    rules: dict[str, set[str]] = {}
    real = local._found

    def noting(rule: Rule, module: Module, *rest: Any) -> list[Finding]:
        rules.setdefault(module.path, set()).add(rule.name)
        return real(rule, module, *rest)

    monkeypatch.setattr(local, "_found", noting)
    return rules


def test_what_an_edit_cannot_change_is_not_asked_again(demo: _Demo, check: _Check, asked: dict[str, set[str]]) -> None:
    """After an edit, those modules are asked that looked into the edited file, by the rules that did so."""
    check(demo.root)
    assert sorted(asked) == sorted(
        path for path in _FILES if path.endswith(".py") and not path.startswith(("tests/", "app/tools/"))
    )
    every = set(asked["app/main.py"])
    asked.clear()
    _EDITS["another body"](demo)
    check(demo.root)
    assert set(asked) == {"app/clients/base.py", "app/clients/client.py"}  # whether the second logs, the first says
    assert asked["app/clients/base.py"] == every
    assert asked["app/clients/client.py"] < every
    asked.clear()
    _EDITS["a comment"](demo)
    check(demo.root)
    assert asked == {"app/main.py": every}


def test_who_inherits_is_known_of_files_that_are_not_read(demo: _Demo, check: _Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an edit of a method, who inherits from its class is known; after one of the class, files are asked again."""
    check(demo.root)
    kept: list[set[str]] = []
    real = cache.Cache.known

    def noting(self: cache.Cache, *arguments: Any) -> local.Known:
        known = real(self, *arguments)
        kept.append(set(known.heirs))
        return known

    monkeypatch.setattr(cache.Cache, "known", noting)
    _EDITS["another body"](demo)
    check(demo.root)
    assert "app/clients/client.py" in kept[-1]
    assert "app/clients/base.py" not in kept[-1]
    demo.replace("app/clients/base.py", "class Client:", "class Client(dict):")
    check(demo.root)
    assert "app/clients/client.py" not in kept[-1]


def test_an_open_answer_is_asked_again(demo: _Demo, check: _Check) -> None:
    """What a rule says of one file, and all others have a part in, is asked whatever is edited: who closes a client."""
    demo.write("app/shared.py", "import httpx\n\nclient = httpx.AsyncClient()\n")
    demo.write("app/closing.py", "from app.shared import client\n\n\nasync def stop():\n    pass\n\n\nlast = stop\n")
    rule = "lifespan/resource-outside-lifespan"
    assert rule in {finding["rule"] for finding in check(demo.root)[1]["findings"]}  # type: ignore[index]
    demo.replace("app/closing.py", "pass", "await client.aclose()")
    assert rule not in {finding["rule"] for finding in check(demo.root)[1]["findings"]}  # type: ignore[index]
    demo.replace("app/closing.py", "await client.aclose()", "pass")
    assert rule in {finding["rule"] for finding in check(demo.root)[1]["findings"]}  # type: ignore[index]
