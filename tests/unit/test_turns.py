"""The lease on an interval: claims that cannot be removed, runs that stand still, and what a lost turn stops."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flowspark import turns
from flowspark.storage import Local
from flowspark.turns import TurnLost, revoke_turns, turn
from tests.logs import write


class WriteOnly(Local):
    """What credentials see that may write and list, and not delete."""

    def remove(self, path: str) -> None:
        raise PermissionError(f"not {path}")


class Blind(Local):
    """What credentials see that may write and delete, and not list."""

    def level(self, folder: str) -> tuple[list[str], list]:
        raise PermissionError(f"not {folder}")


@pytest.fixture
def storage(monkeypatch):
    def use(kind: type[Local]) -> None:
        monkeypatch.setattr(turns, "storage_of", lambda _: kind())

    return use


def claims(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_claim_that_may_not_be_removed_is_emptied_and_the_next_run_does_not_wait(tmp_path, storage, monkeypatch):
    storage(WriteOnly)
    with turn(str(tmp_path), "one") as still_ours:
        still_ours()
        assert claims(tmp_path) == {"claim=one": b"held\n"}
    monkeypatch.setattr(turns, "_PATIENCE", 0.0)  # who has to wait fails
    with turn(str(tmp_path), "two") as still_ours:
        still_ours()
    assert claims(tmp_path) == {"claim=one": b"", "claim=two": b""}


def test_a_run_that_waits_with_such_credentials_gives_its_claim_up(tmp_path, storage, monkeypatch):
    storage(WriteOnly)
    write(tmp_path / "claim=first", b"held\n")
    monkeypatch.setattr(turns, "_PATIENCE", 0.0)
    with pytest.raises(Exception, match="run first is still publishing"), turn(str(tmp_path), "second"):
        pass
    assert claims(tmp_path) == {"claim=first": b"held\n", "claim=second": b""}


def test_a_void_claim_that_may_not_be_removed_is_passed_over(tmp_path, storage):
    storage(WriteOnly)
    os.utime(write(tmp_path / "claim=dead", b"held\n"), (0, time.time() - 60))
    with turn(str(tmp_path), "alive") as still_ours:
        still_ours()


def test_a_run_that_goes_on_without_a_turn_leaves_no_claim_behind(tmp_path, storage, caplog):
    storage(Blind)
    with turn(str(tmp_path), "one") as still_ours:
        still_ours()  # there is nothing to lose
        assert claims(tmp_path) == {}
    assert "are not kept apart" in caplog.text


def test_a_run_that_stood_still_has_lost_its_turn_even_if_nobody_took_it(tmp_path, monkeypatch):
    """It is stopped for longer than it may trust its claim: the clocks go on, and nothing was renewed."""
    with turn(str(tmp_path), "one") as still_ours:
        still_ours()
        later = tuple(clock + 21 for clock in turns._clocks())
        monkeypatch.setattr(turns, "_clocks", lambda: later)
        with pytest.raises(TurnLost, match="run again"):
            still_ours()
        monkeypatch.undo()
        with pytest.raises(TurnLost):  # lost is lost, also when the claim is renewed meanwhile
            still_ours()


@pytest.mark.parametrize("clock", [0, 1])
def test_either_clock_tells_that_a_run_stood_still(tmp_path, monkeypatch, clock):
    """The time of day goes on while a machine sleeps; the monotonic clock is never set back."""
    with turn(str(tmp_path), "one") as still_ours:
        later = list(turns._clocks())
        later[clock] += 21
        monkeypatch.setattr(turns, "_clocks", lambda: tuple(later))
        with pytest.raises(TurnLost):
            still_ours()


def test_a_claim_that_was_lost_is_not_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "_BEAT", 0.05)
    with turn(str(tmp_path), "one") as still_ours:
        (tmp_path / "claim=one").unlink()
        with pytest.raises(TurnLost):
            still_ours()
        time.sleep(0.3)
        assert claims(tmp_path) == {}


def test_a_claim_is_renewed_while_its_run_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "_BEAT", 0.05)
    with turn(str(tmp_path), "one") as still_ours:
        os.utime(tmp_path / "claim=one", (0, 0))
        time.sleep(0.5)
        assert (tmp_path / "claim=one").stat().st_mtime > time.time() - 60
        still_ours()


@pytest.mark.parametrize("kind", [Local, WriteOnly])
def test_a_revoked_turn_is_lost_although_its_claim_is_renewed(tmp_path, storage, monkeypatch, kind):
    storage(kind)
    monkeypatch.setattr(turns, "_BEAT", 0.05)
    with turn(str(tmp_path), "one") as still_ours:
        revoke_turns(str(tmp_path))
        time.sleep(0.3)
        assert claims(tmp_path)["claim=one"] == b"held\n", "a third run goes on waiting"
        with pytest.raises(TurnLost):
            still_ours()
    assert b"held\n" not in claims(tmp_path).values()
    with turn(str(tmp_path), "two") as still_ours:
        still_ours()


def test_a_storage_that_does_not_answer_for_a_moment_loses_no_turn(tmp_path, monkeypatch, caplog):
    with turn(str(tmp_path), "one") as still_ours:
        monkeypatch.setattr(Local, "level", Blind.level)
        still_ours()
        assert "could not be checked" in caplog.text
        monkeypatch.undo()
        (tmp_path / "claim=one").unlink()
        with pytest.raises(TurnLost):
            still_ours()
