"""Which machine ssh, status and journal go to, from the store and the inventory alone."""

import os
import stat
from dataclasses import replace

import pytest

from fleetssh.cli.finding import find_homes, find_machines, find_target, homes_of
from fleetssh.cli.main import main
from fleetssh.cli.session import Session
from fleetssh.core.errors import CommandError
from fleetssh.core.model import MachineRecord, Placement, Seen, TargetState, Wanted
from fleetssh.core.requirements import read_unit
from fleetssh.store import open_store

INVENTORY = """\
all:
  hosts:
    db1: {ansible_host: 192.0.2.1, ansible_user: ops, ansible_port: 2222}
    web1: {ansible_host: 192.0.2.2}
    web2: {ansible_host: 192.0.2.3}
"""
IDS = {"db1": "aa11", "web1": "ab22", "web2": "cc33"}


@pytest.fixture
def session(tmp_path):
    """Three machines that were seen, hello.service on web1, mon.service on all, idle.service nowhere."""
    (tmp_path / "inventory.yml").write_text(INVENTORY)
    store = open_store(str(tmp_path / "state.db"), "default", os.environ)
    units = {
        "hello.service": (TargetState.LAUNCHED, ""),
        "mon.service": (TargetState.LAUNCHED, "Global=true"),
        "idle.service": (TargetState.INACTIVE, ""),
        "web2.service": (TargetState.LAUNCHED, ""),
        "far.service": (TargetState.LAUNCHED, ""),
    }
    wanted = {
        name: Wanted(read_unit(name, f"[Service]\nExecStart=/bin/x\n[X-Fleet]\n{fleet}\n".encode()), target)
        for name, (target, fleet) in units.items()
    }
    placements = {
        "hello.service": Placement("hello.service", "ab22", "x"),
        "far.service": Placement("far.service", "ee55", "x"),
    }
    store.commit(replace(store.load(), wanted=wanted, placements=placements))
    seen = (Seen("mon.service", TargetState.LAUNCHED, "loaded", "active", "running"),)
    store.remember(
        MachineRecord(host, id_, address="192.0.2.9", seen=seen, lost=host == "web2")
        for host, id_ in IDS.items()
    )
    store.close()
    session = Session({})
    session.set("inventory", str(tmp_path / "inventory.yml"), override=True)
    session.set("state", str(tmp_path / "state.db"), override=True)
    yield session
    session.close()


@pytest.mark.parametrize(
    ("words", "machine", "unit", "host", "command"),
    [
        ("aa uptime -p", "", "", "db1", "uptime -p"),
        ("aa11", "", "", "db1", ""),
        ("web1 true", "", "", "web1", "true"),
        ("hello uptime", "", "", "web1", "uptime"),
        ("some/where/hello.service uptime", "", "", "web1", "uptime"),
        ("uptime now", "c", "", "web2", "uptime now"),
        ("uptime now", "", "hello", "web1", "uptime now"),
    ],
)
def test_a_machine_by_id_prefix_host_name_or_unit(session, words, machine, unit, host, command):
    found, rest = find_target(session, tuple(words.split()), machine, unit)
    assert (found.name, " ".join(rest)) == (host, command)


@pytest.mark.parametrize(
    ("words", "machine", "unit", "message"),
    [
        ("", "", "", "Unable to proceed: one machine or unit must be provided"),
        ("a", "", "", "Unable to proceed: found more than one machine"),
        ("nope", "", "", "Unable to proceed: could not find matching unit or machine"),
        ("web2", "", "", "Unable to proceed: ambiguous argument, both machine and unit found for `web2`"),
        ("mon", "", "", "Unable to proceed: global units unsupported"),
        ("idle", "", "", "Could not determine address of machine."),
        ("x", "d", "", "Unable to proceed: machine does not exist"),
        ("x", "", "nope", "Unable to proceed: unit does not exist"),
        ("x", "aa", "hello", "Unable to proceed: give --machine or --unit, not both"),
        ("far", "", "", "Unit far.service belongs on machine ee55..., which is not known any more"),
    ],
)
def test_what_cannot_be_found(session, words, machine, unit, message):
    with pytest.raises(CommandError) as caught:
        find_target(session, tuple(words.split()), machine, unit)
    assert caught.value.message == message


def test_a_global_unit_is_on_every_machine_that_was_seen_with_it_and_is_not_lost(session):
    homes = homes_of(session, session.store.load(), "mon.service")
    assert [(home.host.name, home.legend) for home in homes] == [
        ("db1", "aa11.../192.0.2.9"),
        ("web1", "ab22.../192.0.2.9"),
    ]


def test_a_machine_that_was_taken_out_of_the_inventory_is_told(session, tmp_path):
    (tmp_path / "inventory.yml").write_text(INVENTORY.replace("web1", "web9"))
    with pytest.raises(CommandError, match="machine web1 is no longer in the inventory"):
        find_target(session, ("hello",), "", "")


def homes(session, arguments, machines=""):
    only = find_machines(session, machines.split())
    found = find_homes(session, session.store.load(), tuple(arguments.split()), only)
    return {unit: " ".join(home.host.name for home in at) for unit, at in found.items()}


@pytest.mark.parametrize(
    ("arguments", "machines", "found"),
    [
        ("hello", "", {"hello.service": "web1"}),
        ("hello mon", "", {"hello.service": "web1", "mon.service": "db1 web1"}),
        ("h* hello", "", {"hello.service": "web1"}),
        ("[h-m]*", "", {"hello.service": "web1", "mon.service": "db1 web1"}),
        ("mon", "aa", {"mon.service": "db1"}),
        ("[h-m]*", "db1", {"mon.service": "db1"}),
        ("mon hello", "db1 ab", {"mon.service": "db1 web1", "hello.service": "web1"}),
    ],
)
def test_units_and_globs_and_where_they_are(session, arguments, machines, found):
    assert homes(session, arguments, machines) == found


@pytest.mark.parametrize(
    ("arguments", "machines", "message"),
    [
        ("hello nope", "", "Unit nope.service does not exist."),
        ("nope hello idle", "",
         "Unit nope.service does not exist.\nUnit idle.service does not appear to be running."),
        ("x* hello", "", "No unit matches x*.service."),
        ("id* mon", "", "No unit that id*.service matches appears to be running."),
        ("hello", "db1 web2", "hello.service is not on db1 or web2."),
        ("hello mon", "db1", "hello.service is not on db1."),
        ("hello", "nope", "Unable to proceed: no machine is called nope"),
        ("hello", "a", "Unable to proceed: found more than one machine"),
        ("hello far", "", "Unit far.service belongs on machine ee55..., which is not known any more"),
    ],
)  # fmt: skip
def test_one_wrong_argument_of_many_is_told_and_so_is_every_other(session, arguments, machines, message):
    with pytest.raises(CommandError) as caught:
        homes(session, arguments, machines)
    assert caught.value.message == message


# ---------------------------------------------------------------- the shell


@pytest.fixture
def ssh_program(tmp_path, monkeypatch):
    """A program called ssh that prints its arguments, one a line, and ends with $SSH_STATUS."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit ${SSH_STATUS:-0}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_a_shell_is_the_systems_own_ssh_with_checked_host_keys(
    session, ssh_program, capfd, monkeypatch, tmp_path
):
    monkeypatch.setenv("FLEETSSH_STATE", str(tmp_path / "state.db"))
    monkeypatch.setenv("FLEETSSH_INVENTORY", str(tmp_path / "inventory.yml"))
    assert main(["ssh", "db1", "-A", "--known-hosts-file", "/k h"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "-p", "2222", "-o", "StrictHostKeyChecking=yes", "-l", "ops", "-o", 'UserKnownHostsFile="/k h"', "-A",
        "--", "192.0.2.1",
    ]  # fmt: skip
    assert main(["ssh", "web1", "-A", "--accept-new-host-keys", "--", "ls", "-l"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "-p", "22", "-o", "StrictHostKeyChecking=accept-new", "-A", "--", "192.0.2.2", "ls", "-l"
    ]  # fmt: skip
    monkeypatch.setenv("SSH_STATUS", "7")
    assert main(["ssh", "db1", "-A", "false"]) == 7
    assert main(["ssh", "db1"]) == 0
    monkeypatch.setenv("SSH_STATUS", "255")
    assert main(["ssh", "db1"]) == 4
    assert capfd.readouterr().err == "db1: ssh could not connect\n"


def test_without_an_ssh_program_a_shell_says_what_to_install(session, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FLEETSSH_STATE", str(tmp_path / "state.db"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["ssh", "--inventory", str(tmp_path / "inventory.yml"), "db1"]) == 1
    assert "there is no ssh program on this computer" in capsys.readouterr().err
