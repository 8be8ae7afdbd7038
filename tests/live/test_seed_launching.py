"""CoreOS's guide to launching containers: two kinds of units, apaches that outlive a machine, metadata."""

from __future__ import annotations

from tests.live.conftest import Fleet, wait_for
from tests.live.walking import (
    HELLO,
    MACHINES,
    burden,
    home_of,
    lose,
    running,
    running_on,
    table,
    unit_files,
    use_metadata,
)

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"

MYAPP = f"""\
[Unit]
Description=MyApp
After=docker.service

[Service]
TimeoutStartSec=0
ExecStartPre=-/bin/false
ExecStart={HELLO.replace("while", "trap 'exit 0' INT TERM; while")}
ExecStop=/bin/true
"""

APACHE = """\
[Unit]
Description=My Apache Frontend
After=docker.service

[Service]
TimeoutStartSec=0
ExecStart=/bin/sleep infinity

[X-Fleet]
Conflicts=apache@*.service
"""

# etcdctl's keys are files: /services/website/apache@1 is /run/services/website/apache@1 on the machine.
DISCOVERY = r"""
[Unit]
Description=Announce Apache1
BindsTo=apache@%i.service
After=apache@%i.service

[Service]
ExecStartPre=/bin/mkdir -p /run/services/website
ExecStart=/bin/sh -c "while true; do echo '{ \"host\": \"%H\", \"port\": 80, \"version\": \"52c7248a14\" }' >/run/services/website/apache@%i;sleep 45;done"
ExecStop=/bin/rm /run/services/website/apache@%i

[X-Fleet]
MachineOf=apache@%i.service
"""  # noqa: E501

# As in the guide, its command goes on over several lines and asks the shell for the host's name.
DATADOG = """\
[Unit]
Description=Monitoring Service

[Service]
TimeoutStartSec=0
ExecStartPre=-/bin/false
ExecStart=/bin/sh -c \\
"echo dd-agent -h `hostname` \\
-e API_KEY=`echo key`; \\
exec sleep infinity"

[X-Fleet]
Global=true
"""


def test_standard_and_global_units(fleet: Fleet) -> None:
    fleet.unit("standard-unit.service", SLEEP)
    fleet.unit("global-unit.service", f"{SLEEP}[X-Fleet]\nGlobal=true\n")
    fleet.run("start", "standard-unit.service", "global-unit.service")
    home = home_of(fleet, "standard-unit.service")
    # The guide's fleet showed `launched  3 of 3` under TMACHINE; fleet 1.0 shows `-  global`, as here.
    assert unit_files(fleet) == {
        "global-unit.service": ["launched", "-", "global"],
        "standard-unit.service": ["launched", "launched", fleet.legend(home)],
    }
    assert len(table(fleet.run("list-machines"), MACHINES)) == 3
    assert running(fleet) == {"standard-unit.service": [home], "global-unit.service": ["m1", "m2", "m3"]}


def test_apaches_outlive_their_machine(fleet: Fleet) -> None:
    # "Run a container in the cluster"
    fleet.unit("myapp.service", MYAPP.replace("After=docker", "Requires=docker"))
    refused = fleet.run("start", "myapp.service", code=3).err
    assert "Unit docker.service not found" in refused.splitlines()[0]  # on these machines there is none
    fleet.run("destroy", "myapp.service")
    fleet.unit("myapp.service", MYAPP)
    fleet.run("start", "myapp.service")
    (app,) = running(fleet)["myapp.service"]

    # "Run a high availability service"
    fleet.unit("apache@.service", APACHE)
    fleet.run("start", "apache@1")
    fleet.run("start", "apache@2")
    first, second = home_of(fleet, "apache@1.service"), home_of(fleet, "apache@2.service")
    assert len({app, first, second}) == 3
    homes = {"myapp.service": [app], "apache@1.service": [first], "apache@2.service": [second]}
    assert running(fleet) == homes

    # "Recovering from machine failure". There is no agent to stop here: the machine's cable is cut. It goes
    # on running what it has, which nobody else can see; apache@1 may not go where apache@2 is.
    burden(fleet, app)
    fleet.lab.cut(first)
    lose(fleet, first)
    homes["apache@1.service"] = [app]
    assert running(fleet) == homes
    assert unit_files(fleet)["apache@1.service"] == ["launched", "launched", fleet.legend(app)]
    assert fleet.lab.run_inside(first, ["systemctl", "is-active", "apache@1"]).stdout == "active\n"

    # "If the failed machine recovers, the fleet leader will tell it to cease operations of the old units,
    # and then the machine will be available for new work": nothing moves back.
    fleet.lab.heal(first)
    fleet.run("reconcile")
    assert running(fleet) == homes
    assert not fleet.witness(first).file("/run/fleet/units/apache@1.service").exists
    assert len(table(fleet.run("list-machines"), MACHINES)) == 3

    # "Run a simple sidekick"
    fleet.unit("apache-discovery@.service", DISCOVERY)
    fleet.run("start", "apache-discovery@1")
    fleet.run("start", "apache-discovery@2")
    homes |= {"apache-discovery@1.service": [app], "apache-discovery@2.service": [second]}
    assert running(fleet) == homes
    for number, home in (("1", app), ("2", second)):
        announced = fleet.witness(home).file(f"/run/services/website/apache@{number}")
        assert announced.content_string == f'{{ "host": "{home}", "port": 80, "version": "52c7248a14" }}\n'

    # "Run a global unit"
    fleet.unit("datadog.service", DATADOG)
    fleet.run("start", "datadog.service")
    homes["datadog.service"] = ["m1", "m2", "m3"]
    assert running(fleet) == homes
    for name, host in fleet.witnesses().items():
        assert f"dd-agent -h {name} -e API_KEY=key" in host.check_output("journalctl --boot --unit datadog")

    # This time the power goes: apache@2 moves to the one machine without an apache, its sidekick with it.
    fleet.lab.kill(second)
    for _ in range(2):
        fleet.run("reconcile", "--lost-after-looks", "1", "--lost-after-seconds", "0", code=4)
    homes |= {"apache@2.service": [first], "apache-discovery@2.service": [first]}
    homes["datadog.service"] = sorted([app, first])
    assert running(fleet) == homes
    assert fleet.witness(first).file("/run/services/website/apache@2").content_string.count(first) == 1
    fleet.lab.boot(second)
    fleet.run("reconcile")
    homes["datadog.service"] = ["m1", "m2", "m3"]
    assert running(fleet) == homes
    assert fleet.run("reconcile").out == ""

    fleet.run("destroy", *homes)
    assert running(fleet) == {}
    assert all(running_on(fleet, unit) == [] for unit in homes)


def test_units_go_where_the_metadata_is(fleet: Fleet) -> None:
    # m1 says it in its own fleet.conf, as in the guide; of the others the inventory says it.
    said = 'metadata="platform=metal,provider=rackspace,region=east,disk=ssd"\n'
    script = f"mkdir -p /etc/fleet && printf '# Comma-delimited pairs\\n%s' '{said}' >/etc/fleet/fleet.conf"
    fleet.lab.run_inside("m1", ["/bin/sh", "-c", script])
    assert fleet.witness("m1").file("/etc/fleet/fleet.conf").content_string.endswith(said)
    cloud = {"platform": "cloud", "region": "east"}
    use_metadata(fleet, {
        "m2": {**cloud, "provider": "rackspace", "disk": "ssd"},
        "m3": {**cloud, "provider": "amazon", "disk": "hdd"},
    })  # fmt: skip
    shown = {row[0]: row[2] for row in table(fleet.run("list-machines"), MACHINES)}
    assert shown == {
        fleet.legend(name).split("/")[0]: f"disk={disk},platform={platform},provider={provider},region=east"
        for name, disk, platform, provider in (
            ("m1", "ssd", "metal", "rackspace"),
            ("m2", "ssd", "cloud", "rackspace"),
            ("m3", "hdd", "cloud", "amazon"),
        )
    }

    # "a service that does a lot of disk I/O but doesn't care where it runs"; "Global units can be deployed to
    # a subset of matching machines"; "3 unit files that must be scheduled across providers".
    fleet.unit("io@.service", f"{SLEEP}[X-Fleet]\nMachineMetadata=disk=ssd\n")
    fleet.unit("agent.service", f"{SLEEP}[X-Fleet]\nGlobal=true\nMachineMetadata=disk=ssd\n")
    webapps = {
        "webapp1.service": ("rackspace", "metal"),
        "webapp2.service": ("rackspace", "cloud"),
        "webapp3.service": ("amazon", "cloud"),
    }
    for name, (provider, platform) in webapps.items():
        pairs = f"provider={provider}", f"platform={platform}", "region=east"
        lines = "".join(f"MachineMetadata={pair}\n" for pair in pairs)
        fleet.unit(name, f"{SLEEP}[X-Fleet]\nConflicts=webapp*\n{lines}")
    fleet.run("start", "webapp3", "webapp2", "webapp1", "io@1", "io@2", "io@3", "agent")
    homes = running(fleet)
    assert [homes.pop(name) for name in webapps] == [["m1"], ["m2"], ["m3"]]
    assert homes.pop("agent.service") == ["m1", "m2"]
    assert sorted(homes) == [f"io@{number}.service" for number in (1, 2, 3)]
    assert {home for (home,) in homes.values()} == {"m1", "m2"}

    # A disk is exchanged: the inventory says so, and the next pass follows.
    use_metadata(fleet, {
        "m1": {"disk": "hdd"},
        "m2": {**cloud, "provider": "rackspace", "disk": "ssd"},
        "m3": {**cloud, "provider": "amazon", "disk": "ssd"},
    })  # fmt: skip
    fleet.run("reconcile")
    homes = running(fleet)
    assert homes["agent.service"] == ["m2", "m3"]
    assert homes["webapp1.service"] == ["m1"]
    assert all(home in ("m2", "m3") for unit, (home, *_) in homes.items() if unit.startswith("io@"))
    wait_for(lambda: fleet.run("plan").out == "", what="nothing to do")
