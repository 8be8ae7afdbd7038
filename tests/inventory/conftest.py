"""An inventory written for one test: files given as text, paths in messages relative and short."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fleetssh.inventory import Inventory, load_inventory

Load = Callable[[str | Mapping[str, str]], Inventory]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Text is loaded as ``hosts.yml``; a mapping of paths to texts is loaded as the folder ``inv``."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(files: str | Mapping[str, str]) -> Inventory:
        if isinstance(files, str):
            Path("hosts.yml").write_text(textwrap.dedent(files))
            return load_inventory(Path("hosts.yml"))
        for name, text in files.items():
            path = Path("inv") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return load_inventory(Path("inv"))

    return write_and_load
