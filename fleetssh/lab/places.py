"""Where a lab keeps its files on this computer."""

from __future__ import annotations

import os
from pathlib import Path

HOST_LOCK = Path("/run/fleetssh-lab.lock")
"""Held while a lab chooses its subnet, so that two labs never choose the same one."""


def lab_folder(name: str) -> Path:
    """The folder of the lab called ``name``: below FLEETSSH_LAB_DIR, or in the user's state folder."""
    base = os.environ.get("FLEETSSH_LAB_DIR")
    if base:
        return Path(base) / name
    return _xdg("XDG_STATE_HOME", ".local/state") / "fleetssh" / "labs" / name


def cache_folder() -> Path:
    """The folder of the machine images: FLEETSSH_LAB_CACHE, or in the user's cache folder."""
    given = os.environ.get("FLEETSSH_LAB_CACHE")
    return Path(given) if given else _xdg("XDG_CACHE_HOME", ".cache") / "fleetssh" / "lab"


def _xdg(variable: str, fallback: str) -> Path:
    given = os.environ.get(variable, "")
    # The XDG rules tell us to ignore a relative path.
    return Path(given) if given.startswith("/") else Path.home() / fallback
