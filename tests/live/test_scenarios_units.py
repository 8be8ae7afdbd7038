"""fleet's whole-system tests of units: in and out of the cluster, replaced in it, restarted, listed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.live.conftest import Fleet, wait_for
from tests.live.outside import main_pid, pinned, service
from tests.live.walking import running, unit_files

SLEEP = "[Service]\nExecStart=/usr/bin/sleep infinity\n"
SLEEP_HASH = "40ea6646945809f4b420a50475ee68503088f127"
"""fleet's own figure for this text (F-231)."""


def hello(fleet: Fleet, count: int) -> list[str]:
    """Paths of ``count`` instances of a template that lies in a folder of its own."""
    (fleet.folder / "units").mkdir(exist_ok=True)
    fleet.unit("units/hello@.service", service())
    return [f"units/hello@{number}.service" for number in range(1, count + 1)]


def names_of(paths: Iterable[str]) -> list[str]:
    """The names of the units that lie at ``paths``."""
    return [Path(path).name for path in paths]


def listed(fleet: Fleet, verb: str) -> list[str]:
    """The units that ``verb`` works on, as the listing that fits it shows them."""
    match verb:
        case "submit":
            return sorted(fleet.files())
        case "load":
            return sorted(fleet.units())
        case _:
            return sorted(name for name, (row,) in fleet.units().items() if row[1] == "active")


CYCLES = [
    pytest.param("submit", "destroy", 9, id="F-033-submit"),
    pytest.param("load", "unload", 6, id="F-034-load"),
    pytest.param("start", "stop", 3, id="F-035-start"),
]


@pytest.mark.parametrize(("verb", "back", "count"), CYCLES)
def test_units_come_and_go_and_come_again(fleet: Fleet, verb: str, back: str, count: int) -> None:
    """F-033, F-034, F-035: the second round takes back all at once what the first took back one by one."""
    paths = hello(fleet, count)
    for rounds in ([[name] for name in names_of(paths)], [names_of(paths)]):
        assert "rror" not in fleet.run(verb, *paths).err
        assert listed(fleet, verb) == sorted(names_of(paths))
        for names in rounds:
            assert "rror" not in fleet.run(back, *names).err
        assert listed(fleet, verb) == []


REPLACEMENTS = [
    pytest.param("submit", "destroy", 9, id="F-036-submit"),
    pytest.param("load", "unload", 6, id="F-037-load"),
    pytest.param("start", "stop", 3, id="F-038-start"),
]


@pytest.mark.parametrize(("verb", "back", "count"), REPLACEMENTS)
def test_units_are_replaced_where_they_are(fleet: Fleet, verb: str, back: str, count: int) -> None:
    """F-036, F-037, F-038."""
    paths = hello(fleet, count)
    fleet.run(verb, *paths)
    homes = {name: row[-1] for name, row in fleet.files().items()}
    before = {name: fleet.run("cat", name).out for name in homes}
    fleet.unit("units/hello@.service", service(command="/bin/sleep 2000"))
    assert "rror" not in fleet.run(verb, "--replace", *paths).err
    assert {name: row[-1] for name, row in fleet.files().items()} == homes
    assert listed(fleet, verb) == sorted(names_of(paths))
    after = {name: fleet.run("cat", name).out for name in homes}
    assert all(after[name] != before[name] and "sleep 2000" in after[name] for name in homes)
    for machine, host in fleet.witnesses().items():
        for name in (name for name, legend in homes.items() if legend == fleet.legend(machine)):
            assert host.file(f"/run/fleet/units/{name}").content_string == after[name]
            if verb == "start":
                assert host.process.get(pid=main_pid(host, name)).args == "/bin/sleep 2000"
    fleet.run(back, *homes)
    assert listed(fleet, verb) == []


def test_a_unit_on_its_way_through_systemd(fleet: Fleet) -> None:
    """F-030, F-032."""
    fleet.unit("hello.service", SLEEP)
    assert fleet.units() == {}
    seen = ["list-units", "--no-legend", "--full", "--fields", "unit,load,active,sub,hash"]
    fleet.run("load", "hello")
    assert fleet.run(*seen).rows == [["hello.service", "loaded", "inactive", "dead", SLEEP_HASH]]
    folders = {name: host.file("/run/fleet/units") for name, host in fleet.witnesses().items()}
    (home,) = [name for name, folder in folders.items() if folder.exists and folder.listdir()]
    assert folders[home].listdir() == ["hello.service"]
    fleet.run("start", "hello")
    assert fleet.run(*seen).rows == [["hello.service", "loaded", "active", "running", SLEEP_HASH]]
    assert running(fleet) == {"hello.service": [home]}
    fleet.run("stop", "hello")
    fleet.run("unload", "hello")
    assert fleet.run(*seen).rows == []
    assert not folders[home].exists or folders[home].listdir() == []


def test_restart_of_running_and_of_loaded_units(fleet: Fleet) -> None:
    """F-039."""
    paths = hello(fleet, 3)
    names = names_of(paths)
    fleet.run("start", *paths)
    homes = running(fleet)
    before = {name: main_pid(fleet.witness(home), name) for name, (home,) in homes.items()}
    fleet.run("restart", *names)
    assert running(fleet) == homes
    for name, (home,) in homes.items():
        assert main_pid(fleet.witness(home), name) != before[name]
    fleet.run("stop", *names)
    assert listed(fleet, "start") == []
    fleet.run("restart", *names)
    assert running(fleet) == homes
    fleet.run("stop", *names)
    assert listed(fleet, "start") == []


def test_systemd_starts_what_a_unit_wants(fleet: Fleet) -> None:
    """F-009. That systemd runs the sidekick does not make a launched unit of it."""
    fleet.unit("app.service", pinned("m1"))
    sidekick = "[Unit]\nBindsTo=app.service\nAfter=app.service\n" + service(fleet=["MachineOf=app.service"])
    fleet.unit(
        "sidekick.service", sidekick.replace("[X-Fleet]", "[Install]\nWantedBy=app.service\n[X-Fleet]")
    )

    def stand() -> list[tuple[list[str], str]]:
        """Of both units what systemd says and what the cluster's state says."""
        units, files = fleet.units(), unit_files(fleet)
        return [(units[name][0][1:], files[name][1]) for name in ("app.service", "sidekick.service")]

    up, down = ("active", "running"), ("inactive", "dead")
    fleet.run("load", "app", "sidekick")
    assert stand() == [(down, "loaded"), (down, "loaded")]
    fleet.run("start", "app")
    assert stand() == [(up, "launched"), (up, "loaded")]
    assert fleet.run("reconcile").out == ""
    fleet.run("stop", "app")
    assert stand() == [(down, "loaded"), (down, "loaded")]
    assert fleet.run("reconcile").out == ""


def test_stop_stops_what_an_interrupted_start_began(fleet: Fleet) -> None:
    """Beside F-028: the controller was told to end while it waited for the unit."""
    ready = '/bin/sh -c "sleep 2; systemd-notify --ready; exec sleep infinity"'
    fleet.unit("slow.service", pinned("m1", "Type=notify", "NotifyAccess=all", command=ready))
    starting = fleet.popen("start", "slow")
    host = fleet.witness("m1")
    wait_for(lambda: host.run("systemctl is-active slow").stdout == "activating\n", what="its start")
    starting.terminate()
    starting.communicate()
    stopped = fleet.run("stop", "slow", code=None)
    if stopped.code:  # what was begun there is still under way, and it says so
        assert "Unit slow.service still runs" in stopped.err
        wait_for(lambda: fleet.run("reconcile", code=None).code == 0, what="a pass that could do its work")
    assert host.run("systemctl is-active slow").stdout in ("inactive\n", "failed\n")


def test_unit_files_are_listed_in_order(fleet: Fleet) -> None:
    """F-043."""
    paths = hello(fleet, 20)
    for path in reversed(paths):
        fleet.run("submit", path)
    shown = fleet.run("list-unit-files", "--no-legend", "--fields", "unit").out.splitlines()
    assert shown == sorted(names_of(paths))
