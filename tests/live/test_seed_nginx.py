"""CoreOS continued: one nginx, then three of them, each on a machine of its own."""

from __future__ import annotations

from tests.live.conftest import Fleet
from tests.live.walking import MACHINES, UNITS, burden, running, running_on, table, unit_files

# The tutorial's own file is lost: an nginx in a container.
NGINX = """\
[Unit]
Description=Nginx web server
After=docker.service

[Service]
ExecStartPre=-/bin/false
ExecStart=/bin/sh -c "echo nginx-00 serves; exec sleep infinity"
ExecStop=/bin/true
"""


def test_nginx_everywhere(fleet: Fleet) -> None:
    # "Interacting with fleet": neither an endpoint nor a tunnel is needed, and neither is in the way.
    fleet.env |= {"FLEETCTL_ENDPOINT": "http://10.1.1.7:4001", "FLEETCTL_TUNNEL": "10.1.1.7"}
    assert len(table(fleet.run("list-machines"), MACHINES)) == 3
    assert table(fleet.run("list-units"), UNITS) == []

    fleet.unit("nginx.service", NGINX)
    fleet.run("submit", "nginx.service")
    # In 2014 `list-units` showed what was only submitted; since fleet 0.5 `list-unit-files` does.
    assert table(fleet.run("list-units"), UNITS) == []
    assert unit_files(fleet) == {"nginx.service": ["inactive", "inactive", "-"]}
    fleet.run("start", "nginx.service")
    assert list(running(fleet)) == ["nginx.service"]
    fleet.run("destroy", "nginx.service")
    (fleet.folder / "nginx.service").unlink()

    burden(fleet, "m1", "m2")

    # "Make three copies of the file ... you can submit all of the units at the same time."
    for number in (1, 2, 3):
        text = NGINX.replace("nginx-00", f"nginx-0{number}")
        fleet.unit(f"nginx.{number}.service", f"{text}\n[X-Fleet]\nX-Conflicts=nginx.*.service\n")
    names = sorted(path.name for path in fleet.folder.glob("nginx.*.service"))
    assert len(names) == 3
    assert fleet.run("submit", *names).out.splitlines() == [f"Unit {name} inactive" for name in names]
    said = fleet.run("start", *names).out.splitlines()

    # "three containers distributed across three different instances, all listed as loaded and active"
    rows = table(fleet.run("list-units", "--fields", "unit,load,active"), ["UNIT", "LOAD", "ACTIVE"])
    assert [row for row in rows if row[0] in names] == [[name, "loaded", "active"] for name in names]
    homes = running(fleet)
    assert sorted(homes.values()) == [["m1"], ["m2"], ["m3"]]
    assert said == [f"Unit {name} launched on {fleet.legend(home)}" for name, (home,) in homes.items()]
    for name, (home,) in homes.items():
        log = fleet.witness(home).check_output("journalctl --boot --unit %s", name)
        assert f"nginx-0{name.split('.')[1]} serves" in log

    # "Naturally, there are commands for stopping units, destroying units, etc."; `stop` knows patterns.
    assert "destroy" in fleet.run("help").out
    fleet.run("stop", "nginx.*")
    rows = table(fleet.run("list-units"), UNITS)
    assert [row[2:] for row in rows if row[0] in names] == [["inactive", "dead"]] * 3
    assert all(running_on(fleet, name) == [] for name in names)
    fleet.run("destroy", *names)
    assert running(fleet) == {}
    assert not any(name in unit_files(fleet) for name in names)
