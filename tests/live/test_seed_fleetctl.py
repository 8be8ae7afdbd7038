"""A user's first hour: the DigitalOcean tutorial on managing a cluster with fleetctl, step by step."""

from __future__ import annotations

import signal

from tests.live.conftest import Fleet, wait_for
from tests.live.walking import (
    HELLO,
    MACHINES,
    UNITS,
    home_of,
    running,
    running_on,
    table,
    unit_files,
    use_metadata,
)

# docker's `kill` and `rm` fail when there is no container: the tutorial ignores that with `=-`.
HELLO_SERVICE = f"""\
[Unit]
Description=My Service
After=docker.service

[Service]
TimeoutStartSec=0
ExecStartPre=-/bin/false
ExecStartPre=/bin/true
ExecStart={HELLO}
ExecStop=/bin/true
"""


def test_machines_and_their_metadata(fleet: Fleet) -> None:
    use_metadata(fleet, {})
    rows = table(fleet.run("list-machines"), MACHINES)
    assert sorted(rows) == sorted(
        [f"{machine.machine_id[:8]}...", machine.address, "-"] for machine in fleet.lab.machines()
    )
    for name, host in fleet.witnesses().items():
        assert host.file("/etc/machine-id").content_string.strip() == fleet.machine_ids()[name]

    # cloud-config's `metadata: region=europe,public_ip=...`: the inventory says it here.
    use_metadata(fleet, {m.name: {"region": "europe", "public_ip": m.address} for m in fleet.lab.machines()})
    rows = table(fleet.run("list-machines"), MACHINES)
    assert {ip: metadata for _, ip, metadata in rows} == {
        m.address: f"public_ip={m.address},region=europe" for m in fleet.lab.machines()
    }


def test_from_submit_to_destroy(fleet: Fleet) -> None:
    """Also fleet's own F-041 (``cat``) and F-042 (``status`` of a unit that was only loaded)."""
    fleet.unit("hello.service", HELLO_SERVICE)

    assert fleet.run("submit", "hello.service").out == "Unit hello.service inactive\n"
    assert unit_files(fleet) == {"hello.service": ["inactive", "inactive", "-"]}
    assert fleet.run("cat", "hello.service").out == HELLO_SERVICE
    assert all(not host.file("/run/fleet").exists for host in fleet.witnesses().values())

    said = fleet.run("load", "hello.service").out
    (row,) = table(fleet.run("list-units"), UNITS)
    legend = row[1]
    assert said == f"Unit hello.service loaded on {legend}\n"
    assert row == ["hello.service", legend, "inactive", "dead"]
    assert unit_files(fleet) == {"hello.service": ["loaded", "loaded", legend]}
    (home,) = [name for name in fleet.machine_ids() if fleet.legend(name) == legend]
    host = fleet.witness(home)
    assert host.file("/run/fleet/units/hello.service").content_string == HELLO_SERVICE
    assert host.file("/run/systemd/system/hello.service").is_symlink
    assert not host.service("hello").is_running
    assert "Loaded: loaded" in fleet.run("status", "hello.service", code=3).out  # systemctl's own code

    assert fleet.run("start", "hello.service").out == f"Unit hello.service launched on {legend}\n"
    assert unit_files(fleet) == {"hello.service": ["launched", "launched", legend]}
    assert running(fleet) == {"hello.service": [home]}

    stopped = fleet.run("stop", "hello.service")
    assert stopped.out == f"Unit hello.service loaded on {legend}\n"
    assert stopped.err == "Successfully stopped units [hello.service].\n"
    assert unit_files(fleet) == {"hello.service": ["loaded", "loaded", legend]}
    assert not host.service("hello").is_running
    assert host.file("/run/fleet/units/hello.service").exists

    # "If the unit is currently active, it will be stopped prior to being unloaded."
    fleet.run("start", "hello.service")
    assert host.service("hello").is_running
    unloaded = fleet.run("unload", "hello.service")
    assert unloaded.out == "Unit hello.service inactive\n"
    assert unit_files(fleet) == {"hello.service": ["inactive", "inactive", "-"]}
    assert table(fleet.run("list-units"), UNITS) == []
    assert not host.service("hello").is_running
    assert not host.file("/run/fleet/units/hello.service").exists
    assert not host.file("/run/systemd/system/hello.service").exists

    # "fleet will not update the in-memory unit file if you re-submit it": a warning says so.
    fleet.run("start", "hello.service")
    fleet.unit("hello.service", HELLO_SERVICE.replace("Hello World", "Hello again"))
    assert fleet.run("submit", "hello.service").err.startswith("WARNING")
    assert fleet.run("cat", "hello.service").out == HELLO_SERVICE
    home = home_of(fleet, "hello.service")
    assert fleet.witness(home).file("/run/fleet/units/hello.service").content_string == HELLO_SERVICE

    # "This will stop and unload the unit if necessary, and then remove the unit."
    assert fleet.run("destroy", "hello.service").out == "Destroyed hello.service\n"
    assert unit_files(fleet) == {}
    assert running_on(fleet, "hello.service") == []
    fleet.run("start", "hello.service")
    home = home_of(fleet, "hello.service")
    assert "Hello again" in fleet.witness(home).file("/run/fleet/units/hello.service").content_string


def test_status_journal_and_ssh(fleet: Fleet) -> None:
    """Also most of fleet's own F-040."""
    # Talks faster than the tutorial's, so that nobody waits for its twentieth line.
    fleet.unit("hello.service", HELLO_SERVICE.replace("sleep 1", "sleep .1"))
    fleet.run("start", "hello.service")
    home = home_of(fleet, "hello.service")
    host = fleet.witness(home)
    pid = host.check_output("systemctl show --property MainPID --value hello")
    wait_for(
        lambda: host.check_output(f"journalctl --boot _PID={pid}").count("Hello World") > 20,
        what="twenty lines of output",
    )

    status = fleet.run("status", "hello.service").out
    assert status.startswith("● hello.service - My Service\n")
    # fleet's systemd said /run/fleet/units/hello.service; a newer one names the link to it.
    assert "Loaded: loaded (/run/systemd/system/hello.service; linked-runtime" in status
    assert "Active: active (running) since" in status
    assert "ExecStartPre=/bin/false (code=exited, status=1/FAILURE)" in status
    assert "ExecStartPre=/bin/true (code=exited, status=0/SUCCESS)" in status
    assert f"Main PID: {pid} (sh)" in status
    assert f" {home} sh[{pid}]: Hello World\n" in status

    # "By default, this will show the last 10 lines."
    ten = fleet.run("journal", "hello.service").out
    twenty = fleet.run("journal", "--lines", "20", "hello.service").out
    assert [text.count(f" {home} sh[{pid}]: Hello World\n") for text in (ten, twenty)] == [10, 20]
    assert twenty in host.run("journalctl --quiet --unit hello").stdout

    # "You can also use the -f parameter", and Ctrl-C ends it, there as well as here.
    follower = fleet.popen("journal", "-f", "--lines", "0", "hello.service")
    try:
        assert follower.stdout is not None
        arrived = [follower.stdout.readline() for _ in range(4)]
        assert all(line.endswith(f" {home} sh[{pid}]: Hello World\n") for line in arrived), arrived
        assert host.process.filter(comm="journalctl")
        # Nothing more is said then, and a reader that nobody ends would wait for ever.
        fleet.run("stop", "hello.service")
        assert any("Stopped hello.service" in line for line in iter(follower.stdout.readline, ""))
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
    finally:
        follower.kill()
        _, complaints = follower.communicate()
    assert complaints == "\n"  # below the terminal's ^C
    wait_for(lambda: not host.process.filter(comm="journalctl"), 5, "journalctl to end with its reader")

    # "You can also run a single command on a remote host, just as you can with the normal ssh."
    environment = host.file("/etc/environment").content_string
    other = next(name for name in fleet.machine_ids() if name != home)
    assert fleet.run("ssh", "hello", "cat", "/etc/environment").out == environment
    assert fleet.run("ssh", fleet.machine_ids()[other][:6], "hostname").out == f"{other}\n"
    assert fleet.run("ssh", "hello", "exit 7", code=7).out == ""
    assert "no-such-file" in fleet.run("ssh", "hello", "cat", "/no-such-file", code=1).err
    # "You will be dropped into a shell session on the associated host."
    assert f"{home}\n" in fleet.run("ssh", "hello", stdin="hostname\nexit 3\n").out
