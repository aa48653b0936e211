from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from factory.embedded.home import Home, InstallationState, home_directory
from factory.embedded.ownership import FileLock, is_leaving
from factory.errors import Conflict
from tests.integration.embedded.conftest import ROOT

STATE = InstallationState("postgresql://", "unix://", "http://127.0.0.1:8000", "/key", 1)


def test_the_directory_comes_from_the_environment(tmp_path: Path) -> None:
    assert home_directory({"FACTORY_HOME": str(tmp_path)}) == tmp_path
    assert home_directory({}) == Path.cwd() / ".factory"


def test_others_cannot_look_inside(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.claim()
    home.secret_key()
    home.publish(STATE)
    assert home.directory.stat().st_mode & 0o066 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in home.directory.iterdir())
    home.release()


def test_an_installation_has_one_owner(tmp_path: Path) -> None:
    first, second = Home(tmp_path), Home(tmp_path)
    first.claim()
    with pytest.raises(Conflict, match=str(tmp_path)):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_the_state_is_seen_as_long_as_its_owner_lives(tmp_path: Path) -> None:
    owner, reader = Home(tmp_path), Home(tmp_path)
    assert reader.running_state() is None
    owner.claim()
    owner.publish(STATE)
    assert reader.running_state() == STATE
    owner.release()
    assert reader.running_state() is None


def test_the_state_of_a_killed_owner_is_void(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from factory.embedded.home import Home, InstallationState
home = Home(Path(sys.argv[1]))
home.claim()
home.publish(InstallationState("", "", "", "", os.getpid()))
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script, tmp_path], env=environment, check=False)
    assert (tmp_path / "state.json").exists()
    assert Home(tmp_path).running_state() is None


def test_the_secret_key_is_made_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    key = home.secret_key()
    assert len(bytes.fromhex(key)) == 32
    assert Home(tmp_path).secret_key() == key


def test_a_killed_owner_that_is_not_gone_yet_is_waited_for(tmp_path: Path) -> None:
    """Its memory takes a while to be given back, and its lock goes last."""
    script = "import sys, time; from factory.embedded.ownership import FileLock; from pathlib import Path\n"
    script += "FileLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(600)"
    owner = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "owner.lock"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert owner.stdout
    assert owner.stdout.readline() == b"held\n"
    assert not is_leaving(owner.pid)

    owner.kill()
    assert is_leaving(owner.pid)
    home = Home(tmp_path)
    home.claim()
    home.release()
    owner.communicate()


def test_a_new_owner_voids_what_a_killed_one_has_published(tmp_path: Path) -> None:
    owner, reader = Home(tmp_path), Home(tmp_path)
    owner.claim()
    owner.publish(STATE)
    left = (tmp_path / "state.json").read_text()
    owner.release()
    (tmp_path / "state.json").write_text(left)
    owner.claim()
    assert reader.running_state() is None
    owner.release()


def test_who_only_looks_is_no_owner_to_another_who_looks(tmp_path: Path) -> None:
    owner = Home(tmp_path)
    owner.claim()
    owner.publish(STATE)
    left = (tmp_path / "state.json").read_text()
    owner.release()
    (tmp_path / "state.json").write_text(left)  # as of an owner that was killed
    looking = FileLock(tmp_path / "owner.lock")
    assert looking.acquire(how=fcntl.LOCK_SH)
    assert Home(tmp_path).running_state() is None
    looking.release()


def test_another_release_may_publish_more_or_less(tmp_path: Path) -> None:
    owner = Home(tmp_path)
    owner.claim()
    owner.write("state.json", json.dumps({**asdict(STATE), "ui_url": "http://127.0.0.1:1"}))
    assert Home(tmp_path).running_state() == STATE
    always = {name: value for name, value in asdict(STATE).items() if value}
    owner.write("state.json", json.dumps(always))
    assert Home(tmp_path).running_state() == STATE
    owner.release()
