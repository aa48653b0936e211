"""Packages whose modules a program finds by itself, made for a test."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest


def given_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, modules: Mapping[str, str]
) -> ModuleType:
    """With these modules: text by name."""
    package = tmp_path / f"rooms_{uuid4().hex}"
    package.mkdir()
    for name, text in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return import_module(package.name)
