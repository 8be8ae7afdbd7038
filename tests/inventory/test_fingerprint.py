"""A change of any file that an inventory is read from shows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetssh.inventory.fingerprint import fingerprint

MACHINES = "all: {hosts: {m1: {}, m2: {}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An inventory with variables in files and folders."""
    (tmp_path / "hosts.yml").write_text(MACHINES)
    (tmp_path / "group_vars" / "all").mkdir(parents=True)
    (tmp_path / "group_vars" / "all" / "ssh.yml").write_text("ansible_user: root\n")
    (tmp_path / "host_vars").mkdir()
    return tmp_path


def write_again(path: Path) -> None:
    """The same bytes at a later time, however coarse the file system's clock is."""
    path.write_text(path.read_text())
    os.utime(path, ns=(1, 1))


def replace_with_as_old(path: Path) -> None:
    """As editors save: another file by the same name, here of the same size and age."""
    other = path.with_name("other")
    other.write_text(path.read_text())
    os.utime(other, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write_again(folder / "hosts.yml"),
        lambda folder: replace_with_as_old(folder / "hosts.yml"),
        lambda folder: (folder / "hosts.yml").unlink(),
        lambda folder: write_again(folder / "group_vars" / "all" / "ssh.yml"),
        lambda folder: (folder / "group_vars" / "all" / "more.yml").write_text(""),
        lambda folder: (folder / "host_vars" / "m1.yml").write_text(""),
    ],
)
@pytest.mark.parametrize("inventory", ["hosts.yml", "."])
def test_a_change_shows(folder: Path, inventory: str, change: Callable[[Path], object]) -> None:
    before = fingerprint(folder / inventory)
    assert before == fingerprint(folder / inventory)
    change(folder)
    assert fingerprint(folder / inventory) != before


def test_a_new_file_shows_only_where_it_is_read(folder: Path) -> None:
    alone, whole = fingerprint(folder / "hosts.yml"), fingerprint(folder)
    (folder / "more.yml").write_text(MACHINES)
    assert fingerprint(folder / "hosts.yml") == alone
    assert fingerprint(folder) != whole


def test_what_a_link_leads_to_shows(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("shared")
    (elsewhere / "web.yml").write_text("")
    (folder / "group_vars" / "web").symlink_to(elsewhere)
    before = fingerprint(folder / "hosts.yml")
    write_again(elsewhere / "web.yml")
    assert fingerprint(folder / "hosts.yml") != before


def test_nothing_and_circles_have_a_fingerprint_too(folder: Path) -> None:
    (folder / "host_vars" / "again").symlink_to(folder / "host_vars")
    assert fingerprint(folder) == fingerprint(folder)
    assert fingerprint(folder / "gone.yml") != fingerprint(folder / "hosts.yml")
    assert fingerprint(Path("/nowhere/at/all.yml")) == ()
