"""Boots the apps of examples in this process: a fraction of what a process each would cost, and the sources are our own."""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from fastness.tool.boot import Boot
from fastness.tool.boot.inside import describe, load, probe
from fastness.tool.boot.start import understood

BootSources = Callable[[Mapping[str, str]], Boot]


@pytest.fixture
def boot_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BootSources]:
    """Writes files, boots and probes `app` of `app/main.py`."""
    before = dict(sys.modules)

    def boot(sources: Mapping[str, str]) -> Boot:
        for path, text in sources.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = load.load("app.main:app", factory=False)
            document = describe.describe(loaded)
            document["probe"] = probe.probe(loaded, document, lifespan=True, seconds=20)
        return understood(document, target="app.main:app", root=tmp_path)

    yield boot
    for name in set(sys.modules) - set(before):
        if name.partition(".")[0] == "app":
            del sys.modules[name]
    sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] == "app"})


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache directory, for this test alone."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home / "fastness" / "check"
