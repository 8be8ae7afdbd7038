"""Leases on real machines: what stops when nobody comes, and that nothing ever runs twice."""

from __future__ import annotations

import pytest

from fleetssh import clock
from tests.live.conftest import Fleet, wait_for
from tests.live.outside import edit_inventory, main_pid, service

LEASE = 6
UNITS = "/run/systemd/system"
TICKS = "/bin/sh -c 'while :; do read -r up rest </proc/uptime; echo $up; sleep 0.05; done'"
DEAF = "/bin/sh -c 'trap : TERM; while :; do read -r up rest </proc/uptime; echo $up; sleep 0.05; done'"
"""A lab machine's uptime is that of this computer, so what two of them write down can be compared."""


def states(fleet: Fleet, machine: str, *units: str) -> list[str]:
    """systemd's words for units, past the machine's network."""
    return fleet.lab.run_inside(machine, ["systemctl", "is-active", "--", *units]).stdout.split()


def ticks(fleet: Fleet, machine: str, unit: str) -> list[float]:
    """When a unit on a machine was alive."""
    found = fleet.lab.run_inside(machine, ["cat", f"/run/ticks-{unit}"])
    return [float(word) for word in found.stdout.split() if word[0].isdigit()]  # a killed one says why


def ticking(fleet: Fleet, unit: str, command: str = TICKS) -> str:
    fleet.unit(
        unit, service(f"StandardOutput=append:/run/ticks-{unit}", fleet=[f"Lease={LEASE}"], command=command)
    )
    for machine in fleet.lab.machines():
        fleet.lab.run_inside(machine.name, ["rm", "-f", f"/run/ticks-{unit}"])
    return unit


def home_of(fleet: Fleet, unit: str) -> str:
    (home,) = fleet.running_on(unit)
    return home


def default(fleet: Fleet, seconds: int) -> None:
    edit_inventory(fleet, lambda everyone, _: everyone.update(fleet_lease=seconds))


def test_what_has_a_lease_stops_by_itself_and_starts_anew_when_somebody_comes(fleet: Fleet) -> None:
    """The controller is gone: nobody renews. Lease=0 is none, whatever the cluster's default."""
    default(fleet, LEASE)
    here = "MachineMetadata=name=m1"
    leased = {
        "plain.service": service(fleet=[here]),
        "once.service": service("Type=oneshot", "RemainAfterExit=yes", fleet=[here], command="/bin/true"),
        "again.service": service("Restart=always", "RestartSec=0", fleet=[here]),
        "deaf.service": service(fleet=[here], command=DEAF),
    }
    for name, text in leased.items():
        fleet.unit(name, text)
    fleet.unit("free.service", service(fleet=[here, "Lease=0"]))
    fleet.run("start", *leased, "free.service")
    assert states(fleet, "m1", *leased) == ["active"] * 4
    free = main_pid(fleet.witness("m1"), "free.service")
    names = list(leased)
    wait_for(
        lambda: not {"active", "deactivating"} & set(states(fleet, "m1", *names)), what="the end of the lease"
    )
    assert states(fleet, "m1", *names) == ["inactive", "inactive", "inactive", "failed"]
    assert main_pid(fleet.witness("m1"), "free.service") == free

    # Whoever starts one by hand meanwhile is refused by systemd itself.
    refused = fleet.lab.run_inside("m1", ["systemctl", "start", "plain.service"])
    assert "dependency" in refused.stderr
    assert states(fleet, "m1", "plain.service") == ["inactive"]

    over = f"fleetssh-lease-{LEASE}-over.service"
    wait_for(lambda: states(fleet, "m1", over) == ["inactive"], what="the last of the killing")
    answer = fleet.run("reconcile")
    assert sorted(answer.out.splitlines()) == [
        f"m1: start {name} (its lease ran out)" for name in sorted(names)
    ]
    assert states(fleet, "m1", *names) == ["active"] * 4
    assert main_pid(fleet.witness("m1"), "free.service") == free


def test_passes_renew_a_lease_and_touch_nothing(fleet: Fleet) -> None:
    fleet.unit("web.service", service(fleet=[f"Lease={LEASE}"]))
    fleet.run("start", "web")
    home = home_of(fleet, "web.service")
    pid = main_pid(fleet.witness(home), "web.service")
    began = clock.monotonic()
    while clock.monotonic() < began + 2 * LEASE:
        assert fleet.run("reconcile").out == ""
        clock.sleep(0.5)
    # What only asks renews nothing.
    deadline = f"{UNITS}/fleetssh-lease-{LEASE}.due"
    before = fleet.lab.run_inside(home, ["cat", deadline]).stdout
    fleet.run("list-units")
    fleet.run("plan")
    assert fleet.lab.run_inside(home, ["cat", deadline]).stdout == before
    assert main_pid(fleet.witness(home), "web.service") == pid
    # A daemon-reload, by whomever, puts nothing off.
    for _ in range(3):
        fleet.lab.run_inside(home, ["systemctl", "daemon-reload"])
        clock.sleep(1)
    wait_for(lambda: states(fleet, home, "web.service") == ["inactive"], LEASE + 1, "the end of the lease")


def test_a_default_is_added_changed_and_taken_away_under_running_units(fleet: Fleet) -> None:
    fleet.unit("web.service", service())
    fleet.run("start", "web")
    home = home_of(fleet, "web.service")
    host = fleet.witness(home)
    pid = main_pid(host, "web.service")
    drop_in = f"{UNITS}/web.service.d/50-fleetssh-lease.conf"
    for seconds, reason in (
        (600, "its lease is 600 s now"),
        (900, "its lease is 900 s now"),
        (0, "it has no lease any more (900 s until now)"),
    ):
        default(fleet, seconds)
        told = f"{home}: lease web.service ({reason})\n{home}: reload (unit files change)\n"
        assert fleet.run("reconcile").out == told
        assert fleet.run("reconcile").out == ""
        assert main_pid(host, "web.service") == pid
        target = f"fleetssh-lease-{seconds}.target"
        part_of = host.run("systemctl show --value -p PartOf web.service").stdout
        assert (target in part_of, host.file(drop_in).exists) == (seconds > 0, seconds > 0)
        running = host.run("systemctl list-units --plain --no-legend 'fleetssh-lease-*.target'").stdout
        assert [line.split()[0] for line in running.splitlines()] == ([target] if seconds else [])
    assert (
        host.run("ls -d /run/systemd/system/fleetssh-lease-* /run/systemd/system/web.service.d").stdout == ""
    )


@pytest.mark.parametrize("command", [TICKS, DEAF], ids=["polite", "deaf"])
def test_a_machine_that_thaws_past_the_lease_stops_the_unit_at_once(fleet: Fleet, command: str) -> None:
    ticking(fleet, "tick.service", command)
    fleet.run("start", "tick")
    home = home_of(fleet, "tick.service")
    fleet.lab.freeze(home)
    clock.sleep(LEASE + 5)  # what is waited for is time itself: the machine cannot be asked
    fleet.lab.thaw(home)
    thawed = clock.uptime().seconds
    wait_for(lambda: states(fleet, home, "tick.service")[0] in ("inactive", "failed"), what="the unit's end")
    late = [tick for tick in ticks(fleet, home, "tick.service") if tick > thawed - 1]
    # One or two on an idle computer. Who only asks a deaf one to stop, and then waits, gets a hundred.
    assert len(late) <= 60, late


def test_a_machine_that_is_cut_off_has_stopped_before_the_unit_runs_elsewhere(fleet: Fleet) -> None:
    ticking(fleet, "tick.service")
    fleet.env |= {"FLEETSSH_LOST_AFTER_SECONDS": "0", "FLEETSSH_CONNECT_TIMEOUT": "1"}
    fleet.run("start", "tick")
    home = home_of(fleet, "tick.service")
    fleet.lab.cut(home)

    def elsewhere() -> list[str]:
        fleet.run("reconcile", code=None)
        others = [machine.name for machine in fleet.lab.machines() if machine.name != home]
        return [name for name in others if states(fleet, name, "tick.service") == ["active"]]

    fleet.run("reconcile", code=4)
    waits = fleet.run("reconcile", code=None)
    assert "its lease there runs for at most" in waits.out + waits.err
    assert elsewhere() == []
    assert (
        f"  it waits: {home}, which had it last, is lost, and its lease"
        in fleet.run("why", "tick", code=None).out
    )
    wait_for(elsewhere, 60, "the replacement")
    (other,) = elsewhere()
    fleet.lab.heal(home)
    assert "stop tick.service" not in fleet.run("reconcile", code=None).out
    wait_for(lambda: ticks(fleet, other, "tick.service"), what="the first sign of life")
    assert ticks(fleet, home, "tick.service")[-1] < ticks(fleet, other, "tick.service")[0]
    assert fleet.running_on("tick.service") == [other]


def test_a_reboot_forgets_the_lease_and_the_next_pass_begins_it_anew(fleet: Fleet) -> None:
    fleet.unit("web.service", service(fleet=["Lease=60"]))
    fleet.run("start", "web")
    home = home_of(fleet, "web.service")
    fleet.lab.kill(home)
    fleet.lab.boot(home)
    assert f"{home}: start web.service" in fleet.run("reconcile").out
    assert states(fleet, home, "web.service", "fleetssh-lease-60.target") == ["active", "active"]
