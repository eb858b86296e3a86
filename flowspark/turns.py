"""Runs of one interval take turns: each claims the interval while it publishes, so that results never mix.

A claim is an empty file of the run's own. Whoever has written one and then sees no other has the turn; whoever sees
another withdraws and waits. Listings on S3 and on local disks show what was written before, so two runs cannot both see
none. A claim is renewed while its run lives; one that is not was left by a run that was killed, and is passed over.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from flowspark.errors import FlowsparkError, InputError, one_line
from flowspark.files import LogFile, is_direct
from flowspark.storage import Storage, storage_of

log = logging.getLogger(__name__)

CLAIM = "claim="
_BEAT = 5.0  # seconds between two renewals
_LEASE = 30.0  # seconds after which a claim that was not renewed is void
_PATIENCE = 900.0  # seconds that a run waits for its turn


@contextmanager
def turn(folder: str, run_id: str) -> Iterator[Callable[[], None]]:
    """Has the turn in a folder; yields a check, to be made before the last step, that it was not lost.

    Args:
        folder: where the claims of an interval lie. On storage that only Spark can write there are no turns.
        run_id: who claims.

    Raises:
        FlowsparkError: another run has had its turn for a quarter of an hour; or, from the check, this one's was lost.
    """
    path = f"{folder}/{CLAIM}{run_id}"
    storage = storage_of(folder)
    if not is_direct(folder) or not _wait(storage, folder, path):
        yield lambda: None
        return
    done = threading.Event()
    beat = threading.Thread(target=_renew, args=(storage, path, done), daemon=True)
    beat.start()
    try:
        yield lambda: _check(storage, path)
    finally:
        done.set()
        beat.join()
        try:
            storage.remove(path)
        except (OSError, InputError) as error:  # it will be void in a while
            log.warning("the claim %s could not be removed: %s", path, one_line(error))


def _wait(storage: Storage, folder: str, path: str) -> bool:
    """Claims the turn; False where no claim can be written."""
    told, deadline = False, time.monotonic() + _PATIENCE
    while True:
        try:
            storage.touch(path)
            others = _others(storage, folder, path)
        except (OSError, InputError) as error:
            log.warning("runs of this interval at the same time are not kept apart: %s", one_line(error))
            return False
        if not others:
            return True
        storage.remove(path)
        holder = others[0].path.rpartition(CLAIM)[2]
        if time.monotonic() > deadline:
            raise FlowsparkError(f"run {holder} is still publishing this interval; run again when it has ended")
        if not told:
            log.info("run %s is publishing this interval; waiting for it to end", holder)
            told = True
        time.sleep(random.uniform(0.2, 1.0))  # two that have seen each other do not meet again


def _others(storage: Storage, folder: str, path: str) -> list[LogFile]:
    """The claims of other runs that live; the void ones are removed. All times are the storage's own."""
    claims = {file.path: file for file in storage.level(folder)[1] if f"/{CLAIM}" in file.path}
    own = claims.pop(path, None)
    void = [claim for claim in claims.values() if own and _age(claim, own) > _LEASE]
    for claim in void:
        storage.remove(claim.path)
    return [claim for claim in claims.values() if claim not in void]


def _age(claim: LogFile, now: LogFile) -> float:
    written, seen = (datetime.fromisoformat(file.modified or "1970-01-01T00:00:00Z") for file in (claim, now))
    return (seen - written).total_seconds()


def _renew(storage: Storage, path: str, done: threading.Event) -> None:
    while not done.wait(_BEAT):
        try:
            storage.touch(path)
        except OSError as error:
            log.warning("the claim %s could not be renewed: %s", path, one_line(error))


def _check(storage: Storage, path: str) -> None:
    if not storage.exists(path):
        raise FlowsparkError("this run stood still for so long that another one took over its turn; run again")
