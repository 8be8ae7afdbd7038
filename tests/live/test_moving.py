"""Units that change machines: stopped, seen to have stopped, and only then started elsewhere."""

from __future__ import annotations

from typing import Any

from tests.live.conftest import Fleet, wait_for
from tests.live.outside import STUBBORN, edit_inventory, jobs, kinds, main_pid, service, traces

PICKY = service(fleet=["MachineMetadata=role=front"])


def give_role(fleet: Fleet, *machines: str) -> None:
    """These machines, and no others, have ``role=front`` in the inventory."""

    def edit(_: dict[str, Any], hosts: dict[str, Any]) -> None:
        for name, host in hosts.items():
            host["fleet_metadata"]["role"] = "front" if name in machines else "back"

    edit_inventory(fleet, edit)


def seen_to_have_moved(fleet: Fleet, unit: str, before: str, after: str) -> bool:
    """Whether systemd had stopped it on one machine before systemd started it on the other."""
    (stopped,) = [job.at for job in jobs(fleet, before, unit) if job.kind == "stop"]
    (started,) = [job.at for job in jobs(fleet, after, unit) if job.kind == "start"]
    return stopped < started


def test_a_unit_moves_off_a_machine_that_does_not_fit_any_more(fleet: Fleet) -> None:
    give_role(fleet, "m1")
    # It takes its time to stop: whoever starts it elsewhere too soon is seen.
    fleet.unit("web.service", PICKY.replace("[X-Fleet]", "ExecStop=/bin/sleep 1\n[X-Fleet]"))
    fleet.run("start", "web")
    give_role(fleet, "m3")
    untouched = traces(fleet, without={"m1", "m3"})
    ids = {name: machine_id[:8] for name, machine_id in fleet.machine_ids().items()}
    why = "needs metadata role=front, has role=back; least loaded (0 units)"
    assert fleet.run("reconcile").out.splitlines() == [
        f"move web.service: {ids['m1']}... -> {ids['m3']}...: {why}",
        f"m1: stop web.service (it belongs on {ids['m3']}...)",
        f"m1: remove web.service (it belongs on {ids['m3']}...)",
        "m1: reload (unit files change)",
        "m3: write web.service (least loaded (0 units))",
        "m3: reload (unit files change)",
        "m3: start web.service (least loaded (0 units))",
    ]
    assert fleet.running_on("web.service") == ["m3"]
    assert seen_to_have_moved(fleet, "web.service", "m1", "m3")
    assert not fleet.witness("m1").file("/run/fleet/units/web.service").exists
    assert traces(fleet, without={"m1", "m3"}) == untouched
    assert fleet.run("reconcile").out == ""


def test_units_that_swap_machines_both_stop_first(fleet: Fleet) -> None:
    give_role(fleet, "m1")
    fleet.unit("front.service", PICKY)
    here = ["MachineMetadata=role=back", "MachineMetadata=name=m1", "MachineMetadata=name=m2"]
    fleet.unit("back.service", service("ExecStop=/bin/sleep 1", fleet=here))
    fleet.run("start", "front", "back")
    give_role(fleet, "m2")
    fleet.run("reconcile")
    assert fleet.running_on("front.service") == ["m2"]
    assert fleet.running_on("back.service") == ["m1"]
    assert seen_to_have_moved(fleet, "front.service", "m1", "m2")
    assert seen_to_have_moved(fleet, "back.service", "m2", "m1")


def test_a_replaced_unit_makes_room(fleet: Fleet) -> None:
    fleet.unit("old.service", service())
    fleet.run("start", "old")
    (before,) = fleet.running_on("old.service")
    fleet.unit("new.service", service(fleet=["Replaces=old.service", f"MachineMetadata=name={before}"]))
    answer = fleet.run("start", "new")
    assert answer.out.endswith(f"Unit new.service launched on {fleet.legend(before)}\n")
    assert "also: move old.service" in answer.err
    (after,) = fleet.running_on("old.service")
    assert after != before
    assert seen_to_have_moved(fleet, "old.service", before, after)
    assert fleet.running_on("new.service") == [before]


def test_a_unit_that_cannot_be_stopped_is_not_started_twice(fleet: Fleet) -> None:
    give_role(fleet, "m1")
    fleet.unit(
        "web.service",
        service("TimeoutStopSec=infinity", fleet=["MachineMetadata=role=front"], command=STUBBORN),
    )
    fleet.unit("other.service", service(fleet=["MachineMetadata=name=m2"]))
    fleet.run("start", "web")
    pid = main_pid(fleet.witness("m1"), "web.service")
    give_role(fleet, "m3")
    # One pass: it takes as long as a visit waits for a stop, and does what else there is to do.
    answer = fleet.run("start", "other")
    assert "Unit web.service was not started anew: its old copy was not seen to have stopped" in answer.err
    assert fleet.running_on("other.service") == ["m2"]
    assert fleet.witness("m1").check_output("systemctl is-active web || :") == "deactivating"
    assert kinds(fleet, "m3", "web.service") == []
    fleet.witness("m1").check_output(f"kill -9 {pid}")
    wait_for(lambda: not main_pid(fleet.witness("m1"), "web.service"), what="its end")
    fleet.run("reconcile")
    assert fleet.running_on("web.service") == ["m3"]
    assert seen_to_have_moved(fleet, "web.service", "m1", "m3")
    fleet.witness("m3").check_output("systemctl kill -s KILL web")


def test_a_follower_leaves_with_its_peer_and_comes_back_with_it(fleet: Fleet) -> None:
    fleet.unit("web.service", service())
    fleet.unit("log.service", service(fleet=["MachineOf=web.service"]))
    fleet.run("start", "web", "log")
    (home,) = fleet.running_on("web.service")
    assert fleet.running_on("log.service") == [home]
    fleet.run("destroy", "web")
    assert fleet.running_on("log.service") == []
    assert not fleet.witness(home).file("/run/fleet/units/log.service").exists
    assert "waits for web.service" in fleet.run("reconcile", code=3).err
    fleet.run("start", "web")
    assert fleet.running_on("log.service") == fleet.running_on("web.service") != []


def test_a_machine_that_is_added_gets_global_units_and_those_that_wait(fleet: Fleet) -> None:
    spare: dict[str, Any] = {}
    edit_inventory(fleet, lambda _, hosts: spare.update(hosts.pop("m3")))
    fleet.unit("agent.service", service(fleet=["Global=true"]))
    fleet.unit("waiting.service", service(fleet=["MachineMetadata=name=m3"]))
    fleet.unit("web.service", service())
    fleet.run("start", "agent", "web")
    assert "no machine can take it" in fleet.run("start", "waiting", code=3).err
    untouched = traces(fleet, without={"m3"})
    edit_inventory(fleet, lambda _, hosts: hosts.update(m3=spare))
    fleet.run("reconcile")
    assert fleet.running_on("agent.service") == ["m1", "m2", "m3"]
    assert fleet.running_on("waiting.service") == ["m3"]
    assert traces(fleet, without={"m3"}) == untouched


def test_a_machine_that_is_removed_gives_its_units_to_others(fleet: Fleet) -> None:
    fleet.unit("web.service", service())
    fleet.run("start", "web")
    (home,) = fleet.running_on("web.service")
    edit_inventory(fleet, lambda _, hosts: hosts.pop(home))
    answer = fleet.run("reconcile")
    assert f"machine {home} (" in answer.out
    assert "is no longer in the inventory" in answer.out
    homes = set(fleet.running_on("web.service"))
    assert len(homes - {home}) == 1
    assert home not in {machine for machine, _, _ in fleet.units()["web.service"]}
