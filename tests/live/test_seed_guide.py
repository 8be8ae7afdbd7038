"""The first guide, with fleet's oldest spellings: apache.1 and apache.2 apart, and a sidekick beside each."""

from __future__ import annotations

from tests.live.conftest import Fleet
from tests.live.walking import HELLO, MACHINES, burden, running, running_on, table

MYAPP = f"""\
[Unit]
Description=My Service
After=docker.service

[Service]
ExecStart={HELLO}
"""

APACHE = """\
[Unit]
Description=My Apache Frontend
After=docker.service

[Service]
ExecStart=/bin/sleep infinity
ExecStop=/bin/true

[X-Fleet]
X-Conflicts=apache.*.service
"""

# etcdctl's keys are files: /services/website/apache1 is /run/services/website/apache1 on the machine.
DISCOVERY = r"""
[Unit]
Description=Announce apache.1.service
# Binds this unit and apache.1 together. When apache.1 is stopped, this unit will be stopped too.
BindsTo=apache.1.service

[Service]
ExecStartPre=/bin/mkdir -p /run/services/website
ExecStart=/bin/sh -c "while true; do echo '{ \"host\": \"%H\", \"port\": 80, \"version\": \"52c7248a14\" }' >/run/services/website/apache1;sleep 45;done"
ExecStop=/bin/rm /run/services/website/apache1

[X-Fleet]
# This unit will always be colocated with apache.1.service
X-ConditionMachineOf=apache.1.service
"""  # noqa: E501


def test_apaches_apart_and_their_sidekicks_beside_them(fleet: Fleet) -> None:
    # "Run a Container in the Cluster". The old tables had LOAD, DESC and a MACHINE column at the end and the
    # old list-machines whole ids; here they are as in fleet 1.0.
    fleet.unit("myapp.service", MYAPP)
    fleet.run("start", "myapp.service")
    (app,) = running(fleet)["myapp.service"]
    assert len(table(fleet.run("list-machines"), MACHINES)) == 3
    rows = table(fleet.run("list-machines", "--full", "--fields", "machine,ip"), ["MACHINE", "IP"])
    assert sorted(rows) == sorted([machine.machine_id, machine.address] for machine in fleet.lab.machines())
    legacy = ["UNIT", "LOAD", "ACTIVE", "SUB", "MACHINE"]
    rows = table(fleet.run("list-units", "--fields", "unit,load,active,sub,machine"), legacy)
    assert rows == [["myapp.service", "loaded", "active", "running", fleet.legend(app)]]

    # "Run a High Availability Service". The shell makes two names of `apache.*`.
    burden(fleet, app, min(fleet.machine_ids().keys() - {app}))
    for number in ("1", "2"):
        fleet.unit(f"apache.{number}.service", APACHE)
    globbed = sorted(path.name for path in fleet.folder.glob("apache.*"))
    assert globbed == ["apache.1.service", "apache.2.service"]
    fleet.run("start", *globbed)
    homes = running(fleet)
    (first,), (second,) = homes["apache.1.service"], homes["apache.2.service"]
    assert first != second
    assert homes["myapp.service"] == [app]

    # "Run a Simple Sidekick"
    for number in ("1", "2"):
        text = DISCOVERY.replace("apache.1", f"apache.{number}").replace("apache1", f"apache{number}")
        fleet.unit(f"apache-discovery.{number}.service", text)
    fleet.run("start", "apache-discovery.1.service", "apache-discovery.2.service")
    everything = {
        "myapp.service": [app],
        "apache.1.service": [first],
        "apache.2.service": [second],
        "apache-discovery.1.service": [first],
        "apache-discovery.2.service": [second],
    }
    assert running(fleet) == everything
    assert announced(fleet) == {
        (first, "apache1"): f'{{ "host": "{first}", "port": 80, "version": "52c7248a14" }}\n',
        (second, "apache2"): f'{{ "host": "{second}", "port": 80, "version": "52c7248a14" }}\n',
    }

    # "When the Apache unit is stopped, this unit will stop as well, causing it to be removed from
    # /services/website": and no pass brings it back, as that would bring apache back with it.
    fleet.run("stop", "apache.1.service")
    assert running_on(fleet, "apache.1.service") == running_on(fleet, "apache-discovery.1.service") == []
    assert set(announced(fleet)) == {(second, "apache2")}
    fleet.run("reconcile")
    assert running_on(fleet, "apache.1.service") == running_on(fleet, "apache-discovery.1.service") == []
    rows = table(fleet.run("list-units"), ["UNIT", "MACHINE", "ACTIVE", "SUB"])
    assert [row for row in rows if row[2:] != ["active", "running"] and row[0].startswith("apache")] == [
        ["apache-discovery.1.service", fleet.legend(first), "inactive", "dead"],
        ["apache.1.service", fleet.legend(first), "inactive", "dead"],
    ]

    # The sidekick comes back with its apache.
    fleet.run("start", "apache.1.service")
    assert running(fleet) == everything

    fleet.run("destroy", *everything)
    assert running(fleet) == {}
    assert all(running_on(fleet, unit) == [] for unit in everything)
    assert announced(fleet) == {}


def announced(fleet: Fleet) -> dict[tuple[str, str], str]:
    """``etcdctl ls`` and ``get``: (machine, key) -> value."""
    found = {}
    for name, host in fleet.witnesses().items():
        folder = host.file("/run/services/website")
        for key in folder.listdir() if folder.exists else []:
            found[name, key] = host.file(f"/run/services/website/{key}").content_string
    return found
