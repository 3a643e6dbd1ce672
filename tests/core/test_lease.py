import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from whorl.core import lease as lease_module
from whorl.core.errors import ArtifactError
from whorl.core.lease import STALE_S, Lease, Owner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "leases" / "tokens-abc.json"


def on_file(path: Path) -> Owner:
    return Owner(**json.loads(path.read_text()))


def put(path: Path, owner: Owner) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(owner.__dict__))


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_token_grows_with_every_holder(path: Path) -> None:
    for token in (1, 2, 3):
        with Lease(path) as lease:
            assert lease.token == on_file(path).token == token
        assert not on_file(path).pid


def test_a_live_holder_is_named_to_who_comes_second(path: Path) -> None:
    with (
        Lease(path),
        pytest.raises(ArtifactError, match=rf"^tokens-abc: being written by process {os.getpid()} on .* 0 s ago"),
        Lease(path),
    ):
        pass


def test_the_lease_of_a_dead_process_passes_on(path: Path) -> None:
    put(path, replace(Owner.me(7), pid=dead_pid(), started="123"))
    with Lease(path) as lease:
        assert lease.token == 8


def test_a_reused_process_number_is_not_mistaken_for_its_predecessor(path: Path) -> None:
    assert Owner.me(1).is_alive
    assert not replace(Owner.me(1), started="1").is_alive


def test_a_holder_elsewhere_is_judged_by_its_heartbeat() -> None:
    elsewhere = replace(Owner.me(1), host="another")
    assert elsewhere.is_alive
    assert not replace(elsewhere, beat=time.time() - STALE_S - 1).is_alive


def test_a_writer_that_lost_its_lease_is_fenced_off(path: Path) -> None:
    with Lease(path) as lease:
        with lease.fenced():
            pass
        put(path, Owner.me(lease.token + 1))
        with pytest.raises(ArtifactError, match=r"this writer \(token 1\) lost its lease to token 2"), lease.fenced():
            pass
    assert on_file(path).token == 2, "leaving must not release what belongs to another"


def test_a_writer_whose_lease_file_is_gone_is_fenced_off(path: Path) -> None:
    with Lease(path) as lease:
        path.unlink()
        with pytest.raises(ArtifactError, match=r"lost its lease to token \?"), lease.fenced():
            pass


def test_a_forked_child_may_not_publish(path: Path) -> None:
    with Lease(path) as lease:
        put(path, replace(on_file(path), pid=os.getpid() + 1))
        with pytest.raises(ArtifactError, match="lost its lease"), lease.fenced():
            pass


def until(claim: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not claim():  # type: ignore[operator]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def test_the_holder_beats_and_stops_beating_once_fenced_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "HEARTBEAT_S", 0.01)
    with Lease(path) as lease:
        first = on_file(path).beat
        until(lambda: on_file(path).beat > first)
        with lease.fenced():
            put(path, Owner.me(9))
        assert lease._thread is not None
        lease._thread.join(timeout=10)
        assert not lease._thread.is_alive()


def test_a_lease_can_be_entered_again_and_beats_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "HEARTBEAT_S", 0.01)
    lease = Lease(path)
    with lease:
        pass
    with lease:
        first = on_file(path).beat
        until(lambda: on_file(path).beat > first)
    assert lease.token == 2


def test_a_crash_between_writing_and_truncating_does_not_lock_everybody_out(path: Path) -> None:
    put(path, replace(Owner.me(4), pid=dead_pid()))
    with path.open("a") as handle:
        handle.write('"beat": 3.0}')  # the end of a longer, older text
    with Lease(path) as lease:
        assert lease.token == 5


@pytest.mark.parametrize("text", ["not json", '{"host": "x"}', "[]", "3"])
def test_an_unreadable_lease_says_which_file_to_look_at(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ArtifactError, match=r"tokens-abc\.json: unreadable lease .* delete it"), Lease(path):
        pass


def test_start_times_tell_processes_apart(tmp_path: Path) -> None:
    started = lease_module._started
    assert started(os.getpid()) == started(os.getpid()) != ""
    assert started(dead_pid()) == ""
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: started(zombie.pid) == "")  # ended, not yet waited for
    zombie.wait()
    no_proc = tmp_path / "proc"
    assert started(os.getpid(), no_proc) == "unknown"
    assert started(dead_pid(), no_proc) == ""


def test_without_proc_a_process_of_another_user_counts_as_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert lease_module._started(1, tmp_path / "proc") == "unknown"
