"""The garbage collector of a service that has started: it leaves alone what will live as long as the process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# By default the youngest generation is looked through after every 700 new objects, which a few requests at once exceed on
# every burst although nearly all of theirs are freed without the collector; the oldest is all that was ever imported.
_THRESHOLDS = (10_000, 10, 50)


@contextmanager
def settled() -> Iterator[None]:
    """Within it, the collector ignores what exists now and runs less often on what is new.

    Memory that only the collector can free (cycles) may grow by some ten thousand objects before it does. Everything is put
    back at the end. See `gc.freeze`.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
