from __future__ import annotations

from pathlib import Path

import pytest

from factory.env_file import read_env_file, use_env_file
from factory.errors import Misconfigured


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("A = 1 ", "1"),
        ("A=1 # why", "1"),
        ("A=1#2", "1#2"),
        ("A='1 # 2'", "1 # 2"),
        ('A="1 # 2" # why', "1 # 2"),
        (r'A="a\nb"', "a\nb"),
        (r"A='a\nb'", r"a\nb"),
        ("A='$(date) $HOME ${HOME}'", "$(date) $HOME ${HOME}"),
        ("A=$HOME", "$HOME"),
        ("A=", ""),
        ("A=x=y", "x=y"),
        ("A=1\r", "1"),
        ("\ufeffA=1", "1"),
        ("A=0\nA=1", "1"),
    ],
)
def test_values_are_read_literally(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / "env"
    path.write_bytes(f"{line}\n".encode())
    assert read_env_file(path) == {"A": value}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"A=1\n\n# why\nno assignment\n", 4),
        (b"A=1\nB\n", 2),
        (b"A=1\nB='open\nC=2\n", 2),
        (b"A=1\n=2\n", 2),
        (b'A="q" tail\n', 1),
        (b"A=1\nB=\xff\n", 2),
        (b"A=1\nB=\x00\n", 2),
    ],
)
def test_a_malformed_line_is_named_with_its_file(tmp_path: Path, text: bytes, line: int) -> None:
    path = tmp_path / "env"
    path.write_bytes(text)
    with pytest.raises(Misconfigured) as caught:
        read_env_file(path)
    assert caught.value.message.startswith(f"{path}, line {line}:")


def test_the_environment_wins_even_where_it_is_empty(place: Path) -> None:
    (place / ".env").write_text("A=file\nB=file\nC=file\n")
    environ = {"A": "given", "B": ""}
    use_env_file(environ)
    assert environ == {"A": "given", "B": "", "C": "file"}


def test_another_file_can_be_named_and_none_as_well(place: Path) -> None:
    (place / ".env").write_text("A=1\n")
    (place / "other").write_text("B=2\n")
    named = {"FACTORY_ENV_FILE": "other"}
    use_env_file(named)
    none = {"FACTORY_ENV_FILE": ""}
    use_env_file(none)
    assert (named.get("A"), named["B"], none) == (None, "2", {"FACTORY_ENV_FILE": ""})


def test_a_file_that_is_named_must_be_there(place: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere: cannot be read \(No such file"):
        use_env_file({"FACTORY_ENV_FILE": "nowhere"})


def test_without_a_file_nothing_happens(place: Path) -> None:
    (place / ".env").mkdir()
    environ: dict[str, str] = {}
    use_env_file(environ)
    assert environ == {}
