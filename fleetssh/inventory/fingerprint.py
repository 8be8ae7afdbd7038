"""What an inventory's files look like from outside: enough to notice that one of them has changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from fleetssh.inventory.varsfiles import YAML_ENDINGS, list_names

VARS_FOLDERS = ("group_vars", "host_vars")

MAX_FILES = 10_000
"""More than any inventory has; a link to a whole disk must not hold up a pass."""

Fingerprint: TypeAlias = "tuple[tuple[str, int, int, int], ...]"
"""Path, inode, size in bytes and time of the last change of each file."""


def fingerprint(path: Path) -> Fingerprint:
    """Of every file that the inventory ``path`` may be read from; files that cannot be looked at have none.

    Equal as long as nothing is written, replaced, added or taken away. Never raises.
    """
    folder = path if path.is_dir() else path.parent
    prints = []
    for file in _files(path, folder):
        try:
            found = file.stat()
        except OSError:
            continue
        prints.append((str(file), found.st_ino, found.st_size, found.st_mtime_ns))
        if len(prints) >= MAX_FILES:
            break
    return tuple(sorted(prints))


def _files(path: Path, folder: Path) -> Iterator[Path]:
    if path.is_dir():
        with contextlib.suppress(OSError):
            yield from (path / name for name in list_names(path) if name.endswith(YAML_ENDINGS))
    else:
        yield path
    for name in VARS_FOLDERS:
        # It passes over what it cannot read, and a circle of links ends at the kernel's limit.
        for above, _, files in os.walk(folder / name, followlinks=True):
            yield from (Path(above, file) for file in files)
