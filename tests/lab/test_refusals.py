"""What the lab says when it cannot work here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetssh.core.errors import LabError
from fleetssh.lab import Lab, programs

NOBODY = 65534

# Imported first: nobody may not read the interpreter's own folder everywhere.
AS_NOBODY = f"""
import os, sys, pathlib
from fleetssh.core.errors import LabError
from fleetssh.lab import Lab
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
try:
    Lab.open("fleet", pathlib.Path("/nowhere")).up(1)
except LabError as error:
    print(error.message)
    print(error.hint)
"""


@pytest.mark.live
def test_without_root_the_lab_says_so_and_names_another_way() -> None:
    assert os.geteuid() == 0, "this test must begin as root"
    said = subprocess.run([sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, check=True)
    message, hint = said.stdout.splitlines()
    assert message.startswith("the lab needs root")
    assert "vagrant up" in hint
    assert "inventories/vagrant" in hint
    assert said.stderr == ""


def test_missing_programs_are_told_as_the_packages_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apt-get").symlink_to("/bin/true")
    (tmp_path / "ip").symlink_to("/bin/true")
    monkeypatch.setattr(programs, "SEARCH_PATH", str(tmp_path))
    with pytest.raises(LabError) as caught:
        programs.require_programs()
    assert caught.value.hint.startswith("apt-get install systemd-container mmdebstrap openssh-client")


def test_a_computer_without_apt_is_shown_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "SEARCH_PATH", str(tmp_path))
    with pytest.raises(LabError, match="Debian-like") as caught:
        programs.require_programs()
    assert "vagrant up" in caught.value.hint


@pytest.mark.parametrize("name", ["", "Fleet", "a b", "../x", "x" * 31])
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be the name"):
        Lab.open(name, tmp_path)


@pytest.mark.live
def test_a_folder_with_other_files_is_not_made_a_lab(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yml").write_text("all: {}")
    (tmp_path / "known_hosts").write_text("")
    before = sorted(tmp_path.rglob("*"))
    lab = Lab.open("fleet", tmp_path)
    with pytest.raises(LabError, match="inventory, known_hosts"):
        lab.up(1)
    lab.down()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.live
@pytest.mark.parametrize("machines", [0, 201])
def test_a_number_of_machines_that_cannot_be_is_refused(machines: int, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="1 to 200"):
        Lab.open("fleet", tmp_path).up(machines)
