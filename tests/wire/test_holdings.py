"""What a machine holds, asked by real shells: the exact bytes of every file that the manifest names."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetssh.core.errors import WireError
from fleetssh.core.gathering import Holdings
from fleetssh.core.sighting import Manifest, ManifestEntry
from fleetssh.wire.holdings import MAX_FILE_BYTES, holdings_command, read_holdings
from fleetssh.wire.script import format_manifest
from tests.wire.machine import MACHINE_ID, Machine
from tests.wire.visits import LAUNCHED, LOADED, MARK, act, holding, install, want

NO_TEXT = b"\n\n[Service]\n#\xff\xfe\x00 no text at all\r\n\n\n"
ODD = [
    b"[Service]\nExecStart=/bin/true\n",
    b"[Service]\nExecStart=/bin/true",
    "[Unit]\nDescription=Größe\r\n\n\n".encode(),
    f"[Service]\nFLEETSSH {MARK} end\nFLEETSSH {MARK} gone other.service\n".encode(),
    b"$(touch /run/bait) `touch /run/bait` ' \" \\ %s %n\n",
]
"""Texts that would not survive a shell, a line or a frame that is not careful."""


FRAMES = (
    "begin",
    "end",
    "machine",
    "boot",
    "manifest",
    "file a.service",
    "file",
    "gone",
    "gone b.service",
    "x",
)


def ask(machine: Machine) -> bytes:
    """What the machine says, through a login shell as sshd calls it."""
    ran = machine.enter(f"/bin/sh -c {shlex.quote(holdings_command(MARK, sudo=False))}")
    assert (ran.status, ran.err) == (0, b"")
    return ran.out


def held(machine: Machine) -> Holdings:
    return read_holdings("h1", MARK, ask(machine))


def test_every_file_comes_with_its_exact_bytes(machine: Machine) -> None:
    units = [want(f"u{number}.service", text=text) for number, text in enumerate(ODD)]
    units.append(want(r"dev-disk\x2droot@a:b.service", LOADED, generation=7))
    machine.reached(act(install(*units)))
    before = machine.tree()
    found = held(machine)
    assert found.machine_id == MACHINE_ID
    assert len(found.boot_id) == 36
    assert found.manifest == holding(*units)
    assert found.texts == {unit.unit.name: unit.unit.text for unit in units}
    assert found.missing == {}
    assert {name: found.digest(name) for name in found.texts} == {u.unit.name: u.unit.digest for u in units}
    assert machine.tree() == before


def test_bytes_that_are_no_text_come_as_they_are(machine: Machine) -> None:
    machine.reached(act(install(want("a.service"))))
    (machine.units / "a.service").write_bytes(NO_TEXT)
    found = held(machine)
    assert found.texts == {"a.service": NO_TEXT}
    assert found.digest("a.service") != found.manifest.entries[0].digest


def test_what_is_gone_or_no_file_or_too_large_is_said_so(machine: Machine) -> None:
    names = ("gone.service", "folder.service", "pipe.service", "large.service", "largest.service")
    machine.reached(act(install(*(want(name) for name in names))))
    for name in names[:3]:
        (machine.units / name).unlink()
    (machine.units / "folder.service").mkdir()
    assert machine.enter("mkfifo /run/fleet/units/pipe.service").status == 0
    (machine.units / "large.service").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    (machine.units / "largest.service").write_bytes(b"#" * MAX_FILE_BYTES)
    found = held(machine)
    assert found.missing == {
        "gone.service": "its file is gone",
        "folder.service": "its file is gone",
        "pipe.service": "its file is gone",
        "large.service": f"its file is larger than {MAX_FILE_BYTES} bytes",
    }
    assert found.texts == {"largest.service": b"#" * MAX_FILE_BYTES}
    assert found.digest("gone.service") is None


def test_strangers_and_names_that_the_machine_had_taken_are_not_asked_for(machine: Machine) -> None:
    (machine.own / "taken.service").write_text("[Service]\n")
    machine.reached(act(install(want("ours.service"), want("taken.service"))))
    (machine.units / "stranger.service").write_text("[Service]\n")
    (machine.units / "taken.service").write_text("[Service]\n")
    assert set(held(machine).texts) == {"ours.service"}


def test_a_machine_without_anything_of_ours_holds_nothing(machine: Machine) -> None:
    found = held(machine)
    assert (found.manifest, found.texts, found.missing) == (Manifest(), {}, {})


def test_a_manifest_whose_names_lead_elsewhere_is_refused_whole(machine: Machine) -> None:
    entry = ManifestEntry("../../etc/machine-id", "-", LAUNCHED, 0)
    machine.units.mkdir(parents=True)
    machine.manifest.write_text(format_manifest(Manifest("c0ffee", 0, (entry,))))
    with pytest.raises(WireError, match="the manifest has the line"):
        held(machine)


def test_an_answer_cut_off_anywhere_is_no_answer(new_machine) -> None:
    machine = new_machine(shell="dash")
    machine.reached(act(install(want("a.service"), want("b.service"))))
    said = ask(machine)
    assert read_holdings("h1", MARK, said).texts.keys() == {"a.service", "b.service"}
    whole = said.rstrip()
    for end in range(len(whole)):
        with pytest.raises(WireError):
            read_holdings("h1", MARK, whole[:end])


def test_what_a_login_shell_says_first_does_not_matter(new_machine) -> None:
    machine = new_machine(shell="dash")
    machine.reached(act(install(want("a.service"))))
    said = ask(machine)
    assert read_holdings("h1", MARK, b"Welcome to \xff!\n" * 1000 + said) == read_holdings("h1", MARK, said)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    *(f"FLEETSSH {MARK} {words}\n".encode() for words in FRAMES),
                    b"fleetssh 1 c0ffee 3\n",
                    b"launched 0 - a.service\n",
                    b"launched 0 - ../a.service\n",
                    b"W1NlcnZpY2Vd",
                ]
            ),
        )
    )
)
def test_whatever_a_machine_says_is_holdings_or_no_answer(pieces: list[bytes]) -> None:
    frames = [f"FLEETSSH {MARK} {words}\n".encode() for words in ("begin", "end")]
    try:
        found = read_holdings("h1", MARK, b"".join([frames[0], *pieces, b"\n", frames[1]]))
    except WireError:
        return
    assert all("/" not in entry.name for entry in found.manifest.entries)


def test_garbage_in_place_of_a_file_is_refused() -> None:
    frames = f"FLEETSSH {MARK} begin\nFLEETSSH {MARK} file a.service\n%%%\nFLEETSSH {MARK} end\n"
    with pytest.raises(WireError, match="no form that can be read"):
        read_holdings("h1", MARK, frames.encode())
