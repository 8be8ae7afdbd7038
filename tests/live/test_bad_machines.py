"""Machines that let us in and then do not talk as machines do: told, never given up, in nobody's way."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts.crew import Crew
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import load_inventory
from fleetssh.wire.reply import MAX_REPLY_BYTES
from tests.live.conftest import Fleet
from tests.live.misuse import add_login, drop_logins, run_inside
from tests.live.outside import edit_inventory, pinned, traces

FLOOD = "#!/bin/sh\nhead -c 50000000 /dev/zero | tr '\\0' '{}' {}\n"
SILENT = "#!/bin/sh\necho $$ >>/run/logins/.pids\n{}\n"

LOGINS: dict[str, tuple[str, dict[str, str], str]] = {
    "nologin": ("/usr/sbin/nologin", {}, "answered half: .*This account is currently not available."),
    "killed": ("#!/bin/sh\nkill -9 $$\n", {}, "answered half: "),
    "leaves": ("/bin/bash", {".bashrc": "echo bye; exit 0\n"}, "answered half: .*bye"),
    "reads": ("/bin/bash", {".bashrc": "read line\n"}, "answered half: the login shell took the beginning"),
    "eats": (
        "/bin/bash",
        {".bashrc": "cat >/dev/null\n"},
        "answered half: the login shell took the beginning",
    ),
    "heads": ("/bin/bash", {".bashrc": "head -c 99 >&2\n"}, "answered half: "),
    "garbage": ("#!/bin/sh\nhead -c 99999 /dev/urandom; exit 3\n", {}, "answered half: "),
    "floods": (FLOOD.format("x", ""), {}, f"answered half: it answered more than {MAX_REPLY_BYTES} bytes"),
    "lines": (FLOOD.format("\\n", ""), {}, f"answered half: it answered more than {MAX_REPLY_BYTES} bytes"),
    "errors": (FLOOD.format("x", ">&2"), {}, f"answered half: it answered more than {MAX_REPLY_BYTES} bytes"),
    "noshell": ("/usr/bin/nowhere", {}, "login refused"),
}
"""The login shell, files at home, and what is told (a regular expression)."""

TALKS = {
    ".bashrc": "echo 'Welcome!'; echo a warning >&2; printf 'FLEETSSH and no newline'; umask 777; set -u\n"
    "alias printf=false; printf() { :; }; export LC_ALL=de_DE.UTF-8 CDPATH=/ SYSTEMD_LOG_LEVEL=debug\n",
    ".bash_logout": "echo Good bye\n",
}


@pytest.fixture
def odd(fleet: Fleet) -> Iterator[Fleet]:
    """web.service runs on m2, which is where odd logins are made."""
    fleet.env |= {"FLEETSSH_LOST_AFTER_LOOKS": "1", "FLEETSSH_LOST_AFTER_SECONDS": "0"}
    fleet.unit("web.service", pinned("m2"))
    fleet.run("start", "web")
    drop_logins(fleet, "m2")
    yield fleet
    drop_logins(fleet, "m2")


def log_in_as(fleet: Fleet, *names: str) -> None:
    """The inventory has m2 once more for each login."""

    def edit(_: dict[str, object], hosts: dict[str, dict[str, object]]) -> None:
        hosts.update({name: {**hosts["m2"], "ansible_user": name} for name in names})

    edit_inventory(fleet, edit)


def test_logins_that_do_not_talk_are_told_each_by_its_own_reason(odd: Fleet) -> None:
    for name, (shell, files, _) in LOGINS.items():
        add_login(odd, "m2", name, shell, files)
    log_in_as(odd, *LOGINS)
    before = traces(odd)
    odd.unit("new.service", pinned("m1"))
    for _ in range(2):
        answer = odd.run("reconcile", code=4)
        for name, (_, _, says) in LOGINS.items():
            (line,) = [line for line in answer.err.split("\n") if line.startswith(f"{name}: ")]
            assert re.search(f"^{name}: {says}", line)
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", line)
            assert len(line) < 500
    assert odd.run("start", "new", code=None).out.endswith(f"launched on {odd.legend('m1')}\n")
    odd.run("destroy", "new", code=None)
    assert odd.running_on("web.service") == ["m2"]
    assert traces(odd)["m2"] == before["m2"]


def test_a_login_that_talks_before_and_after_is_no_hindrance(odd: Fleet) -> None:
    run_inside(odd, "m2", "echo 'No unauthorised access!' >/etc/motd; cp /etc/motd /etc/banner")
    run_inside(
        odd, "m2", "echo Banner /etc/banner >/etc/ssh/sshd_config.d/banner.conf; systemctl restart ssh"
    )
    try:
        add_login(odd, "m2", "talks", "/bin/bash", TALKS)
        edit_inventory(odd, lambda _, hosts: hosts["m2"].update(ansible_user="talks"))
        assert odd.run("reconcile").out == ""
        odd.unit("web.service", pinned("m2", "Environment=A='$x`y`"))
        odd.run("start", "--replace", "web")
        sent = (odd.folder / "web.service").read_bytes()
        assert odd.witness("m2").file("/run/fleet/units/web.service").content == sent
        assert odd.witness("m2").file("/run/fleet/units/web.service").mode == 0o644
        assert "Active: active (running)" in odd.run("status", "web").out
        assert "Started web.service" in odd.run("journal", "web").out
        odd.run("destroy", "web")
        assert not odd.witness("m2").file("/run/fleet/manifest").exists
    finally:
        run_inside(odd, "m2", "rm /etc/ssh/sshd_config.d/banner.conf /etc/motd; systemctl restart ssh")


def look(fleet: Fleet, seconds: float) -> dict[str, Sighting]:
    carrier = FabricCarrier(connect_seconds=5)
    hosts = load_inventory(Path(fleet.env["FLEETSSH_INVENTORY"])).hosts
    visits = [(host, Visit()) for host in hosts]
    try:
        return {s.host: s for s in Crew().visit_all(carrier, visits, deadline_seconds=seconds)}
    finally:
        carrier.close()


def test_an_answer_that_never_ends_has_an_end_for_us_and_is_no_silence(odd: Fleet) -> None:
    """Who lets us in is alive: its units must not be started elsewhere (rule 1)."""
    endless = {
        "ticks": "while :; do echo tick; sleep 0.1; done",
        "hangs": "exec sleep 1000",
        "streams": "exec yes >&2",
        "closes": "exec >&- 2>&-; exec sleep 1000",
    }
    for name, script in endless.items():
        add_login(odd, "m2", name, SILENT.format(script))
    log_in_as(odd, *endless)
    seen = look(odd, 2.0)
    for name in endless:
        sighting = seen[name]
        assert isinstance(sighting, Unreached)
        assert sighting.failure is Failure.HALF, sighting
    assert isinstance(seen["m1"], Reached)
    assert isinstance(seen["m3"], Reached)


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_kilobytes(fleet: Fleet, *args: str) -> int:
    """The most memory that a command needed. A small process starts it: to the kernel, a process has needed
    what its parent held when it was made, and the process of all tests is large."""
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "fleetssh", *args]
    done = subprocess.run(
        command, cwd=fleet.folder, env=fleet.env, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_fifty_megabytes_from_each_of_several_machines_are_not_kept(odd: Fleet) -> None:
    floods = [f"flood{number}" for number in range(4)]
    for name in floods:
        add_login(odd, "m2", name, FLOOD.format("x", ""))
    quiet = peak_kilobytes(odd, "reconcile")
    log_in_as(odd, *floods)
    loud = peak_kilobytes(odd, "reconcile")
    room = len(floods) * 3 * MAX_REPLY_BYTES // 1024
    assert quiet < loud < quiet + room


def test_a_machine_without_systemd_is_told_and_keeps_what_it_has(odd: Fleet) -> None:
    run_inside(odd, "m2", "mount -t tmpfs none /run/systemd")
    try:
        for _ in range(2):
            answer = odd.run("reconcile", code=4)
            assert answer.out == ""
            assert re.search(
                r"^m2 \(.*\): no systemd: it does not run systemd; .*keeps its units", answer.err
            )
        assert odd.units()["web.service"][0][1:] == ("unknown", "unknown")
        assert odd.run("destroy", "web", code=4).out == ""
    finally:
        run_inside(odd, "m2", "umount /run/systemd")
    assert odd.running_on("web.service") == ["m2"]
    assert "m2: remove web.service" in odd.run("reconcile").out


def test_a_chroot_with_an_sshd_of_its_own_is_no_machine_for_units(odd: Fleet) -> None:
    """A second sshd, in a mount namespace that systemd is not in: as in a container without an init."""
    inside = (
        "mount -t tmpfs none /run && mkdir -p /run/sshd && exec /usr/sbin/sshd -D -p 2222 -o PidFile=none"
    )
    run_inside(odd, "m2", f"systemd-run --unit=second-sshd unshare --mount sh -c '{inside}'")
    try:
        known = odd.folder / "known_hosts"
        keys = odd.lab.known_hosts_path.read_text()
        address = next(m.address for m in odd.lab.machines() if m.name == "m2")
        more = [line.replace(address, f"[{address}]:2222") for line in keys.splitlines() if address in line]
        known.write_text(keys + "\n".join(more) + "\n")
        edit_inventory(odd, lambda everyone, _: everyone.update(fleet_known_hosts=str(known)))
        edit_inventory(odd, lambda _, hosts: hosts.update(box={**hosts["m2"], "ansible_port": 2222}))
        run_inside(odd, "m2", "while ! ss -ltn | grep -q :2222; do sleep 0.1; done")
        answer = odd.run("reconcile", code=4)
        assert "box: no systemd" in answer.err
        assert odd.running_on("web.service") == ["m2"]
    finally:
        run_inside(odd, "m2", "systemctl stop second-sshd")
