from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from factory.embedded.home import Home, InstallationState, home_directory
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
