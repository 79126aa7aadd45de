"""Metrics are declared once, and their files belong to one run."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, values

from fastness import _metrics


def test_the_same_declaration_gives_the_same_metric() -> None:
    """Two modules, or two apps, that declare one metric share it."""
    assert _metrics.counter("t_same", "Same.", ["a"]) is _metrics.counter("t_same", "Same.", ("a",))
    assert _metrics.gauge("t_gauge", "Same.") is _metrics.gauge("t_gauge", "Same.")
    assert _metrics.histogram("t_hist", "Same.", buckets=(1, 2)) is _metrics.histogram("t_hist", "Same.", buckets=(1, 2))


def test_contradicting_declarations_are_refused() -> None:
    """Another kind, other labels or other bounds under one name are an error that names it."""
    _metrics.counter("t_clash", "Clash.", ["a"])
    _metrics.histogram("t_bounds", "Bounds.", buckets=(1, 2))
    with pytest.raises(ValueError, match="'t_clash'"):
        _metrics.counter("t_clash", "Clash.", ["b"])
    with pytest.raises(ValueError, match="'t_clash'"):
        _metrics.gauge("t_clash", "Clash.", ["a"])
    with pytest.raises(ValueError, match="'t_bounds'"):
        _metrics.histogram("t_bounds", "Bounds.", buckets=(1, 2, 3))


def test_what_workers_share_is_what_the_library_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether metrics are in files is decided when `prometheus_client` is imported, not by the environment later."""
    monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue())
    assert _metrics.shared()
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    assert not _metrics.shared()


def test_a_histogram_can_be_widened() -> None:
    """Bounds are added, never taken away, and bounds that are there already leave the histogram alone."""
    first = _metrics.widened_histogram("t_wide", "Wide.", buckets=(1, 5))
    assert _metrics.widened_histogram("t_wide", "Wide.", buckets=(5,)) is first
    second = _metrics.widened_histogram("t_wide", "Wide.", buckets=(3,))
    second.observe(2)
    bounds = [bound for bound in ("1.0", "3.0", "5.0") if REGISTRY.get_sample_value("t_wide_bucket", {"le": bound}) is not None]
    assert bounds == ["1.0", "3.0", "5.0"]
    assert REGISTRY.get_sample_value("t_wide_bucket", {"le": "3.0"}) == 1


def test_pools_are_read_when_asked() -> None:
    """A pool shows what it says at that moment, until it is taken off; one that fails hides no other."""

    def broken() -> tuple[int, int]:
        raise OSError

    used = 3
    forget_broken = _metrics.observe_pool("t_broken", broken)
    forget = _metrics.observe_pool("t_pool", lambda: (used, 10))
    _metrics.sample_pools()
    assert REGISTRY.get_sample_value("fastness_pool_used", {"pool": "t_pool"}) == 3
    assert REGISTRY.get_sample_value("fastness_pool_size", {"pool": "t_pool"}) == 10
    used = 4
    _metrics.sample_pools()
    assert REGISTRY.get_sample_value("fastness_pool_used", {"pool": "t_pool"}) == 4
    forget()
    forget_broken()
    forget()
    _metrics.sample_pools()
    assert REGISTRY.get_sample_value("fastness_pool_used", {"pool": "t_pool"}) is None


def test_a_pool_of_the_same_name_takes_its_place() -> None:
    """An older pool that is taken off late does not take the newer one with it."""
    forget_old = _metrics.observe_pool("t_twice", lambda: (1, 1))
    forget_new = _metrics.observe_pool("t_twice", lambda: (2, 2))
    forget_old()
    _metrics.sample_pools()
    assert REGISTRY.get_sample_value("fastness_pool_used", {"pool": "t_twice"}) == 2
    forget_new()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for the metrics of many workers, and a process that has not prepared one yet."""
    held: list[int] = []
    monkeypatch.setattr(_metrics, "_run_lock", held)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    yield tmp_path / "metrics"
    for lock in held:
        os.close(lock)


def test_the_first_of_a_run_wipes_what_the_last_one_left(directory: Path) -> None:
    """Files that nobody holds are those of an earlier run; other files in the directory are not ours."""
    directory.mkdir()
    (directory / "counter_1.db").write_bytes(b"old")
    (directory / "notes.txt").write_bytes(b"keep")
    _metrics.prepare()
    assert not (directory / "counter_1.db").exists()
    assert (directory / "notes.txt").exists()


def test_a_later_worker_wipes_only_under_its_own_id(directory: Path) -> None:
    """While another worker holds the run, its files stay; a file under our process id can only be stale."""
    directory.mkdir()
    with (directory / ".run").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        (directory / "counter_1.db").write_bytes(b"theirs")
        (directory / f"gauge_livesum_{os.getpid()}.db").write_bytes(b"stale")
        _metrics.prepare()
    assert (directory / "counter_1.db").exists()
    assert not (directory / f"gauge_livesum_{os.getpid()}.db").exists()


def test_a_process_prepares_once(directory: Path) -> None:
    """What this process writes after preparing is not wiped by preparing again."""
    _metrics.prepare()
    (directory / "counter_1.db").write_bytes(b"new")
    _metrics.prepare()
    assert (directory / "counter_1.db").exists()


def test_without_a_directory_nothing_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker needs no files."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    held: list[int] = []
    monkeypatch.setattr(_metrics, "_run_lock", held)
    _metrics.prepare()
    assert held == []
