"""fleet's whole-system tests of scheduling: together, apart, in place of, by id and metadata, everywhere."""

from __future__ import annotations

from collections.abc import Iterable

from tests.live.conftest import Fleet, wait_for
from tests.live.outside import edit_inventory, main_pid, service
from tests.live.walking import burden, running, running_on, table, unit_files, use_metadata

APART = "Conflicts=conflict.*.service"


def only(fleet: Fleet, *machines: str) -> None:
    """A cluster of these machines."""

    def edit(_: dict[str, object], hosts: dict[str, object]) -> None:
        for name in hosts.keys() - set(machines):
            del hosts[name]

    edit_inventory(fleet, edit)


def start_at_once(fleet: Fleet, names: Iterable[str], running_units: int, code: int = 0) -> None:
    """``start --no-block``, then waits until as many rows are active as there should be."""
    fleet.run("start", "--no-block", *names, code=code)
    wait_for(lambda: active(fleet) == running_units, what=f"{running_units} active units")


def active(fleet: Fleet) -> int:
    """How many rows of ``list-units`` are active."""
    return sum(row[0] == "active" for row in fleet.run("list-units", "--no-legend", "--fields=active").rows)


def test_instances_go_where_their_name_says(fleet: Fleet) -> None:
    """F-015."""
    use_metadata(fleet, {name: {"hostname": name} for name in fleet.machine_ids()})
    fleet.unit("metadata@.service", service(fleet=["MachineMetadata=hostname=%i"]))
    fleet.run("submit", "metadata@.service")
    for machine in ("m3", "m2", "m1"):
        fleet.run("start", f"metadata@{machine}")
    assert running(fleet) == {f"metadata@{name}.service": [name] for name in ("m1", "m2", "m3")}
    answer = fleet.run("start", "--block-attempts=20", "metadata@nowhere", code=3)
    assert "Unit metadata@nowhere.service is not placed: no machine can take it" in answer.err


def test_followers_are_beside_their_peers(fleet: Fleet) -> None:
    """F-018; also when both have to leave a machine that is lost. Chance alone would part them."""
    for name, machine_id in fleet.machine_ids().items():
        assert "load average" in fleet.run("ssh", machine_id, "uptime").out, name
    burden(fleet, "m1", "m2")
    names = [f"{kind}.{number}.service" for kind in ("ping", "pong") for number in range(3)]
    for name in names:
        peer = [f"MachineOf={name.replace('pong', 'ping')}"] if name.startswith("pong") else []
        fleet.unit(name, service(fleet=peer))
    start_at_once(fleet, names, 6)
    assert [name for name in unit_files(fleet) if not name.startswith("ballast-")] == names
    homes = running(fleet)
    assert all(homes[f"ping.{number}.service"] == homes[f"pong.{number}.service"] for number in range(3))

    (lost,) = homes["ping.1.service"]
    fleet.lab.kill(lost)
    for _ in range(2):  # silent, then silent to others too
        fleet.run("reconcile", "--lost-after-looks=1", "--lost-after-seconds=0", code=None)
    after = running(fleet)
    assert after["ping.1.service"] == after["pong.1.service"] != [lost]
    assert len(after) == 6


def test_units_that_conflict_by_pattern_are_on_machines_of_their_own(fleet: Fleet) -> None:
    """F-019: two more than there are machines."""
    names = [fleet.unit(f"conflict.{number}.service", service(fleet=[APART])) for number in range(5)]
    start_at_once(fleet, names, 3, code=3)
    assert sorted(unit_files(fleet)) == names
    assert sorted(running(fleet).values()) == [["m1"], ["m2"], ["m3"]]


def test_one_side_of_a_conflict_is_enough(fleet: Fleet) -> None:
    """F-020: and who was kept out comes in as soon as there is room."""
    only(fleet, "m1")
    fleet.unit("conflicts-with-hello.service", service(fleet=["Conflicts=hello.service"]))
    fleet.unit("hello.service", service())
    fleet.run("start", "conflicts-with-hello")
    start_at_once(fleet, ["hello"], 1, code=3)
    assert sorted(unit_files(fleet)) == ["conflicts-with-hello.service", "hello.service"]
    assert running(fleet) == {"conflicts-with-hello.service": ["m1"]}
    fleet.run("destroy", "conflicts-with-hello")
    assert running(fleet) == {"hello.service": ["m1"]}


def test_several_conflicts_on_one_line_or_on_several(fleet: Fleet) -> None:
    """F-021. By their load alone all three would go to m3."""
    burden(fleet, "m1", "m2")
    lists = [
        ["Conflicts=multiple.1.service multiple.2.service"],
        ["Conflicts=multiple.0.service multiple.2.service"],
        ["Conflicts=multiple.0.service", "Conflicts=multiple.1.service"],
    ]
    names = [fleet.unit(f"multiple.{at}.service", service(fleet=lines)) for at, lines in enumerate(lists)]
    start_at_once(fleet, names, 3)
    assert sorted(running(fleet).values()) == [["m1"], ["m2"], ["m3"]]


def test_a_replaced_unit_goes_to_another_machine(fleet: Fleet) -> None:
    """F-022. fleet moved one of the two at random; here it is always the one that is replaced."""
    only(fleet, "m1", "m2")
    fleet.unit("replace.0.service", service())
    fleet.unit("replace.1.service", service())
    fleet.unit("replace.2.service", service(fleet=["MachineOf=replace.1.service"]))
    fleet.unit("replace.kick0.service", service(fleet=["Replaces=replace.0.service"]))
    fleet.run("start", "replace.0")
    (first,) = running(fleet)["replace.0.service"]
    fleet.run("start", "replace.1", "replace.2")
    (second,) = {"m1", "m2"} - {first}
    both = {"replace.1.service": [second], "replace.2.service": [second]}
    assert running(fleet) == {"replace.0.service": [first], **both}
    fleet.run("start", "replace.kick0")
    assert running(fleet) == {"replace.0.service": [second], **both, "replace.kick0.service": [first]}


def test_units_that_replace_each_other_both_run(fleet: Fleet) -> None:
    """F-023: a circle of two means nothing, in fleet as well (its test looked before the second one ran)."""
    only(fleet, "m1", "m2")
    fleet.unit("circular.1.service", service(fleet=["Replaces=circular.2.service"]))
    fleet.unit("circular.2.service", service(fleet=["Replaces=circular.1.service"]))
    fleet.run("start", "circular.1")
    ((only_unit, home),) = running(fleet).items()
    assert only_unit == "circular.1.service"
    start_at_once(fleet, ["circular.2"], 2)
    assert sorted(unit_files(fleet)) == ["circular.1.service", "circular.2.service"]
    assert running(fleet)["circular.1.service"] == home
    assert fleet.run("reconcile").out == ""


def test_units_go_to_the_machine_of_their_id(fleet: Fleet) -> None:
    """F-024."""
    wanted = {}
    for name, machine_id in fleet.machine_ids().items():
        wanted[fleet.unit(f"pin-{name}.service", service(fleet=[f"MachineID={machine_id}"]))] = [name]
    fleet.run("start", *reversed(wanted))
    assert running(fleet) == wanted


def test_a_global_unit_is_everywhere_and_can_be_asked_and_restarted(fleet: Fleet) -> None:
    """F-025. fleet took no notice of the unknown flag in ``status --no-block``; here that is exit code 2."""
    ordinary = [fleet.unit(f"hello.{number}.service", service()) for number in (1, 2)]
    fleet.unit("global.service", service(fleet=["Global=true"]))
    fleet.run("start", *ordinary)
    start_at_once(fleet, ["global"], 5)
    homes = running(fleet)
    assert homes["global.service"] == ["m1", "m2", "m3"]
    assert fleet.run("status", "global").out.count("Active: active (running)") == 3
    assert "--no-block" in fleet.run("status", "--no-block", "global", code=2).err
    before = {name: main_pid(host, "global.service") for name, host in fleet.witnesses().items()}
    fleet.run("restart", "global")
    assert running(fleet) == homes
    assert all(main_pid(host, "global.service") != before[name] for name, host in fleet.witnesses().items())


def test_a_global_unit_stays_away_from_one_that_it_conflicts_with(fleet: Fleet) -> None:
    """F-026."""
    first, second = (
        fleet.unit(f"global-{number}.service", service(fleet=["Global=true", "Conflicts=global-*.service"]))
        for number in (1, 2)
    )
    fleet.run("start", first)
    assert running(fleet) == {first: ["m1", "m2", "m3"]}
    fleet.run("start", second, code=None)
    assert running(fleet) == {first: ["m1", "m2", "m3"]}
    assert running_on(fleet, second) == []
    assert len(table(fleet.run("list-unit-files"), ["UNIT", "HASH", "DSTATE", "STATE", "TARGET"])) == 2
