"""Runs of one interval take turns: each holds a lease on the interval while it publishes, so that results never mix.

A run claims the interval by a small file of its own. It has the turn when it has written its claim and then sees no other
one; when it sees another one it withdraws its own and waits. Listings on S3 and on local disks show what was written
before, so two runs cannot both see none. A run renews its claim every few seconds. A claim that was not renewed for a
while is void: its run was killed, or stands still. A run that stood still checks whether it still has the turn before it
goes on, and its own limit is shorter than that of the others, so the two cannot both think that they have it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from flowspark.errors import FlowsparkError, InputError, one_line
from flowspark.files import LogFile, is_direct
from flowspark.storage import Storage, storage_of

log = logging.getLogger(__name__)

CLAIM = "claim="
_REVOKED = "revoked="
_HELD, _RELEASED = b"held\n", b""  # credentials that may write and not delete can still release a claim
_BEAT = 5.0  # seconds between two renewals
_STALLED = 20.0  # seconds without a renewal after which a run no longer trusts its own claim
_LEASE = 30.0  # seconds without a renewal after which the others no longer respect it
_PATIENCE = 900.0  # seconds that a run waits for its turn


class TurnLost(FlowsparkError):
    """This run stood still for so long that another one may have taken over its turn."""


@contextmanager
def turn(folder: str, run_id: str) -> Iterator[Callable[[], None]]:
    """Waits for the turn in a folder, and holds it. Yields a check that it is not lost; call it before and after each step.

    Args:
        folder: where the claims of an interval lie. On storage that only Spark can write there are no turns.
        run_id: the run that claims the turn.

    Raises:
        FlowsparkError: another run has had its turn for a quarter of an hour.
        TurnLost: raised by the check.
    """
    path = f"{folder}/{CLAIM}{run_id}"
    storage = storage_of(folder)
    if not is_direct(folder) or not _wait(storage, folder, path):
        yield lambda: None
        return
    claim = _Claim(storage, folder, path)
    claim.start()
    try:
        yield claim.check
    finally:
        claim.stop()
        _release(storage, path)
        with suppress(OSError, InputError):
            if storage.exists(_revocation(path)):
                _release(storage, _revocation(path))


def revoke_turns(folder: str) -> None:
    """Revokes all claims in a folder: a run that publishes there fails at its next check, and publishes no summary.

    A claim that was only removed would be there again after its run's next renewal, so each gets a file beside it.
    """
    storage = storage_of(folder)
    for claim in storage.level(folder)[1]:
        if f"/{CLAIM}" in claim.path:
            storage.write(_revocation(claim.path), _HELD)


def _revocation(claim: str) -> str:
    return claim.replace(f"/{CLAIM}", f"/{_REVOKED}")


class _Claim(threading.Thread):
    """Renews a claim in the background, and remembers when it was last renewed."""

    def __init__(self, storage: Storage, folder: str, path: str) -> None:
        super().__init__(daemon=True)
        self._storage, self._folder, self._path = storage, folder, path
        self._done = threading.Event()
        self._renewed = _clocks()
        self._lost = False

    def run(self) -> None:
        while not self._done.wait(_BEAT) and not self._is_lost():
            begun = _clocks()
            try:
                self._storage.write(self._path, _HELD)
                self._renewed = begun
            except (OSError, InputError) as error:
                log.warning("the claim %s could not be renewed: %s", self._path, one_line(error))

    def stop(self) -> None:
        self._done.set()
        self.join()

    def check(self) -> None:
        if self._is_lost() or self._is_taken():
            self._lost = True
            raise TurnLost(
                "this run stood still for so long that another run may have taken over its turn to publish; nothing more "
                "is published, and the interval has no summary until a run is complete; run again"
            )

    def _is_taken(self) -> bool:
        """Whether another run has removed or revoked the claim."""
        try:
            there = {file.path for file in self._storage.level(self._folder)[1] if file.size}
        except (OSError, InputError) as error:  # a storage that fails for long does not renew the claim either
            log.warning("the claim %s could not be checked: %s", self._path, one_line(error))
            return False
        return self._path not in there or _revocation(self._path) in there

    def _is_lost(self) -> bool:
        """Whether the claim was not renewed in time. It then stays lost: a renewal might take the turn from another run."""
        self._lost = self._lost or any(now - then > _STALLED for now, then in zip(_clocks(), self._renewed, strict=True))
        return self._lost


def _clocks() -> tuple[float, float]:
    """Both of this machine's clocks: one of them goes on while the machine sleeps, the other is never set back."""
    return time.time(), time.monotonic()


def _wait(storage: Storage, folder: str, path: str) -> bool:
    """Waits until this run has the turn, and returns True; returns False if claims cannot be written or listed.

    Raises:
        FlowsparkError: another run has had its turn for a quarter of an hour.
    """
    reported, deadline = False, time.monotonic() + _PATIENCE
    while True:
        try:
            storage.write(path, _HELD)
            others = _others(storage, folder, path)
        except (OSError, InputError) as error:
            _release(storage, path)
            log.warning("runs that publish this interval at the same time are not kept apart: %s", one_line(error))
            return False
        if not others:
            return True
        _release(storage, path)
        holder = others[0].path.rpartition(CLAIM)[2]
        if time.monotonic() > deadline:
            raise FlowsparkError(f"run {holder} is still publishing this interval; run again when it has ended")
        if not reported:
            log.info("run %s is publishing this interval; waiting for it to end", holder)
            reported = True
        time.sleep(random.uniform(0.2, 1.0))  # random, so that two runs that have seen each other do not meet again


def _release(storage: Storage, path: str) -> None:
    """Removes a claim; where that is not allowed, empties it."""
    try:
        storage.remove(path)
    except (OSError, InputError) as error:
        try:
            storage.write(path, _RELEASED)
        except (OSError, InputError):  # it will be void in a while
            log.warning("the claim %s could not be removed: %s", path, one_line(error))


def _others(storage: Storage, folder: str, path: str) -> list[LogFile]:
    """The valid claims of other runs. Void ones are removed. All times that are compared are the storage's own."""
    claims = {file.path: file for file in storage.level(folder)[1] if f"/{CLAIM}" in file.path and file.size}
    own = claims.pop(path, None)
    void = [claim for claim in claims.values() if own and _age(claim, own) > _LEASE]
    for claim in void:
        for path_of_void in (claim.path, _revocation(claim.path)):
            with suppress(OSError, InputError):  # it is void even if it stays
                storage.remove(path_of_void)
    return [claim for claim in claims.values() if claim not in void]


def _age(claim: LogFile, now: LogFile) -> float:
    written, seen = (datetime.fromisoformat(file.modified or "1970-01-01T00:00:00Z") for file in (claim, now))
    return (seen - written).total_seconds()
