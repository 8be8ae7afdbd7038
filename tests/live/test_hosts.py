"""The carrier on real sshd: replies of all sizes, deadlines, drops, dead connections, host keys."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetssh import clock
from fleetssh.core.sighting import Failure, Reached, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts.conversation import Answer
from fleetssh.hosts.crew import Crew
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host, load_inventory
from fleetssh.lab import Lab
from fleetssh.wire.script import HEADER, SHELL, Script
from tests.live.conftest import Fleet

MIB = 1024 * 1024


def visit(program: str) -> Script:
    return Script("mark", SHELL, f"{HEADER}\n{program}".encode())


@pytest.fixture
def hosts(fleet: Fleet) -> list[Host]:
    return list(load_inventory(fleet.lab.inventory_path).hosts)


@pytest.fixture
def carrier() -> Iterator[FabricCarrier]:
    carrier = FabricCarrier(connect_seconds=2)
    yield carrier
    carrier.close()


def test_one_connection_carries_many_visits(hosts: list[Host], carrier: FabricCarrier) -> None:
    ports = set()
    for _ in range(5):
        answer = carrier.carry(hosts[0], visit("echo $SSH_CONNECTION"), 10)
        assert isinstance(answer, Answer)
        ports.add(answer.output.split()[1])
    assert len(ports) == 1


def test_a_program_of_two_megabytes_arrives_whole(hosts: list[Host], carrier: FabricCarrier) -> None:
    text = "x" * (2 * MIB)
    answer = carrier.carry(hosts[0], visit(f"printf %s '{text}' | sha1sum; printf %s '{text}' | wc -c"), 30)
    assert isinstance(answer, Answer)
    assert answer.output.split()[-1] == str(2 * MIB).encode()


def test_both_streams_are_drained_together(hosts: list[Host], carrier: FabricCarrier) -> None:
    flood = f"head -c {4 * MIB} /dev/zero >&2; head -c {4 * MIB} /dev/zero; exit 7"
    answer = carrier.carry(hosts[0], visit(flood), 30)
    assert isinstance(answer, Answer)
    assert (len(answer.output), len(answer.error), answer.status) == (4 * MIB, 4 * MIB, 7)


def test_an_endless_answer_is_cut_off(hosts: list[Host], carrier: FabricCarrier) -> None:
    answer = carrier.carry(hosts[0], visit(f"head -c {50 * MIB} /dev/zero"), 60)
    assert isinstance(answer, Unreached)
    assert answer.failure is Failure.HALF
    assert "bytes" in answer.message
    assert isinstance(carrier.carry(hosts[0], visit("echo again"), 10), Answer)


def test_a_visit_has_a_deadline(hosts: list[Host], carrier: FabricCarrier) -> None:
    begun = clock.monotonic()
    answer = carrier.carry(hosts[0], visit("echo begun; sleep 60"), 1)
    assert isinstance(answer, Unreached)
    assert answer.failure is Failure.HALF  # it let us in: that is no silence, which might end in loss
    assert "within 1 s" in answer.message
    assert clock.monotonic() - begun < 30


def test_a_connection_that_died_unnoticed_is_opened_anew(
    fleet: Fleet, hosts: list[Host], carrier: FabricCarrier
) -> None:
    first = carrier.visit(hosts[0], Visit(), 20)
    fleet.lab.reboot(hosts[0].name)
    second = carrier.visit(hosts[0], Visit(), 20)
    assert isinstance(first, Reached)
    assert isinstance(second, Reached)
    assert first.facts.machine_id == second.facts.machine_id
    assert first.facts.boot_id != second.facts.boot_id


def test_sshd_that_drops_most_connections_is_asked_again(
    fleet: Fleet, hosts: list[Host], carrier: FabricCarrier
) -> None:
    drop_in = "/etc/ssh/sshd_config.d/drop.conf"
    fleet.lab.run_inside("m1", ["sh", "-c", f"echo MaxStartups 2:90:3 >{drop_in}; systemctl restart ssh"])
    try:
        crowd = [dataclasses.replace(hosts[0], name=f"alias{number}") for number in range(8)]
        seen = list(Crew().visit_all(carrier, [(host, Visit()) for host in crowd]))
        reached = [sighting for sighting in seen if isinstance(sighting, Reached)]
        assert len(seen) == 8
        assert len(reached) >= 4, seen
        assert {s.failure for s in seen if isinstance(s, Unreached)} <= {Failure.STALLED}
    finally:
        fleet.lab.run_inside("m1", ["sh", "-c", f"rm {drop_in}; systemctl restart ssh"])


def test_trust_on_first_use_writes_the_key_down_and_never_accepts_a_changed_one(
    lab: Lab, hosts: list[Host], tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    host = dataclasses.replace(hosts[0], known_hosts=str(known))
    strict, trusting = FabricCarrier(), FabricCarrier(accept_new_host_keys=True)
    refused = strict.carry(host, visit("echo hello"), 10)
    assert isinstance(refused, Unreached)
    assert refused.failure is Failure.HOST_KEY
    assert not known.exists()
    assert isinstance(trusting.carry(host, visit("echo hello"), 10), Answer)
    trusting.close()
    assert isinstance(FabricCarrier().carry(host, visit("echo hello"), 10), Answer)

    shutil.copy(known, tmp_path / "other")
    other = next(m for m in lab.machines() if m.name != host.name).address
    swapped = (tmp_path / "other").read_text().replace(host.address, other)
    (tmp_path / "other").write_text(swapped)
    changed = dataclasses.replace(host, address=other, known_hosts=str(tmp_path / "other"))
    for carrier in (FabricCarrier(), FabricCarrier(accept_new_host_keys=True)):
        answer = carrier.carry(changed, visit("echo hello"), 10)
        assert isinstance(answer, Unreached)
        assert answer.failure is Failure.HOST_KEY
        assert "changed" in answer.message


def test_two_names_of_one_machine_are_an_error_that_names_both(fleet: Fleet) -> None:
    text = fleet.lab.inventory_path.read_text()
    address = next(m.address for m in fleet.lab.machines() if m.name == "m1")
    key, known = fleet.lab.key_path, fleet.lab.known_hosts_path
    own = fleet.folder / "twins.yml"
    own.write_text(
        "all:\n  vars:\n    ansible_user: root\n"
        f"    ansible_ssh_private_key_file: {key}\n    fleet_known_hosts: {known}\n"
        f"  hosts:\n    one: {{ansible_host: {address}}}\n    two: {{ansible_host: {address}}}\n"
    )
    assert address in text
    fleet.unit("hello.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    answer = fleet.run("--inventory", str(own), "start", "hello.service", code=1)
    assert "one and two have the same machine id" in answer.err
    assert f"{own}:" in answer.err
    assert fleet.running_on("hello.service") == []
