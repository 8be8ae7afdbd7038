"""One machine: how it starts, how it is known to be up, and how it ends."""

from __future__ import annotations

import re
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleetssh import clock
from fleetssh.core.errors import LabError
from fleetssh.lab import cgroups, disk, processes, programs
from fleetssh.lab.processes import Process

BOOT_DEADLINE = 120.0
"""Seconds from power-on to a running system: one takes 1-2 s, the last of forty on two cores about 20 s."""

SHUTDOWN_DEADLINE = 15.0
"""Seconds for an orderly shutdown (takes 1-2 s) before the power is cut instead."""

TIDY_DEADLINE = 5.0
"""Seconds for systemd-nspawn to end after its PID 1; takes milliseconds."""

LAUNCH_DEADLINE = 10.0
"""Seconds for the launcher to come up and say its pid."""

BANNER_TIMEOUT = 1.0
POLL = 0.05
CONSOLE_LINES = 15

ORDERLY_POWEROFF = signal.SIGRTMIN + 4
"""systemd(1): a PID 1 that gets it starts poweroff.target."""

UP_STATES = ("running", "degraded")
"""`systemctl is-system-running`: all jobs of the boot are done. Degraded is what a machine comes back as
whose kept units fail; that is its user's business."""

# Joins the control groups, says its pid, and waits for leave to go on: so the pid is in the ledger and the
# cable is laid before there is a machine. If we die first, `read` fails and nothing has happened.
LAUNCHER = """
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift
echo $$
read -r word && [ "$word" = go ] || exit 1
exec "$@" </dev/null >&2
"""

INSIDE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

RUNTIME = Path("/run/systemd/nspawn")

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What it takes to start a machine. ``container`` is unique on this computer; ``folder`` holds its disk
    and console log; ``group`` is the lab's control group, the machine's own is called by its name."""

    name: str
    container: str
    machine_id: str
    image: Path
    folder: Path
    group: str

    @property
    def console(self) -> Path:
        """Everything the machine said on its console, over all its boots."""
        return self.folder / "console.log"


@contextmanager
def launching(blueprint: Blueprint) -> Iterator[tuple[Process, Callable[[], object]]]:
    """Start a launcher; gives the process that becomes the machine's leader, in a network namespace of its
    own, and the function that lets it boot. Left without that call, the launcher ends by itself."""
    disk.drop_workdirs(blueprint.folder)
    groups = cgroups.create(blueprint.group, blueprint.name)
    command = ["setsid", "--fork", "--", "unshare", "--net", "--", "sh", "-c", LAUNCHER, "launcher"]
    with blueprint.console.open("ab") as console:
        child = subprocess.Popen(
            [*command, *map(str, groups), "--", *_nspawn_command(blueprint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=console,
            bufsize=0,
            env=programs.environment(SYSTEMD_NSPAWN_LOCK="0"),
            cwd="/",
        )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        ready, _, _ = select.select([child.stdout], [], [], LAUNCH_DEADLINE)
        said = child.stdout.readline().strip() if ready else b""
        leader = processes.identify(int(said)) if said else None
        if leader is None:
            raise _failed(blueprint, "could not be launched")
        leave = child.stdin
        yield leader, lambda: leave.write(b"go\n")


def _nspawn_command(blueprint: Blueprint) -> list[str]:
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--settings=no",
        f"--directory={blueprint.image}",
        disk.overlay_option(blueprint.image, blueprint.folder),
        f"--machine={blueprint.container}",
        f"--hostname={blueprint.name}",
        f"--uuid={blueprint.machine_id}",
        # No machined and no unit: works where systemd is not this computer's own init, too.
        "--register=no",
        "--keep-unit",
        # The launcher's own namespace, where the cable ends.
        "--network-namespace-path=/proc/self/ns/net",
        "--console=read-only",
        # The machine's journal, resolver and time zone are its own: nothing is shared with this computer.
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
    ]


def wait_until_up(blueprint: Blueprint, leader: Process, address: str | None) -> None:
    """Wait until sshd greets on ``address`` (``None``: its cable is cut, don't try) and systemd has finished
    booting; ``LabError`` with the end of the console log when it does not come to that."""
    deadline = clock.monotonic() + BOOT_DEADLINE
    greeted = address is None
    while clock.monotonic() < deadline:
        if not processes.is_alive(leader):
            raise _failed(blueprint, "ended while it booted")
        greeted = greeted or _sshd_greets(address or "")
        if greeted and _system_state(leader, deadline - clock.monotonic()) in UP_STATES:
            return
        clock.sleep(POLL)
    what = "systemd has not finished booting" if greeted else f"sshd does not greet on {address}"
    raise _failed(blueprint, f"is not up after {BOOT_DEADLINE:.0f} s: {what}")


def _sshd_greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=BANNER_TIMEOUT) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _system_state(leader: Process, timeout: float) -> str:
    try:
        done = run_inside(leader, ["systemctl", "is-system-running", "--wait"], max(timeout, 1.0))
    except LabError:
        return ""
    return done.stdout.strip()


def run_inside(
    leader: Process | None, argv: Sequence[str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command inside a machine, as root, past its network and sshd. The exit status is the caller's to
    judge; ``LabError`` when the machine is off or gives no answer in ``timeout`` seconds."""
    first = processes.first_inside(leader)
    if first is None:
        raise LabError(f"`{' '.join(argv)}` cannot be run inside a machine that is off")
    try:
        return subprocess.run(
            ["nsenter", f"--target={first.pid}", "--all", "--", *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env={"PATH": INSIDE_PATH, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(argv)}` gave no answer inside the machine in {timeout:.0f} s") from error


def end(blueprint: Blueprint, leader: Process | None) -> None:
    """End a machine as a power cut does, in whatever state it is; nothing of it is left but its disk."""
    processes.send(processes.first_inside(leader) or leader, signal.SIGKILL)
    if cgroups.is_frozen(blueprint.group, blueprint.name):
        # Nothing inside runs any more: the kill came first. It is the leader that must go on.
        cgroups.thaw(blueprint.group, blueprint.name)
    # The leader tidies up after its PID 1 and ends; if it doesn't, it is killed as well.
    if not processes.wait_gone(leader, TIDY_DEADLINE):
        processes.send(leader, signal.SIGKILL)
    # Whatever the ledger doesn't know of.
    cgroups.end_all(blueprint.group, blueprint.name)
    sweep_runtime(blueprint.container)


def sweep_runtime(container: str) -> None:
    """Remove what a killed systemd-nspawn leaves in /run; ``container`` is one's name or a glob pattern."""
    for folder in RUNTIME.glob(f"*/{container}"):
        # Version 256 and newer mount something on theirs.
        if folder.is_mount():
            programs.run(["umount", "--lazy", str(folder)])
        folder.rmdir()


def shut_down(leader: Process | None) -> bool:
    """Ask a machine to shut down in order; False when it has not done so in ``SHUTDOWN_DEADLINE``."""
    processes.send(processes.first_inside(leader), ORDERLY_POWEROFF)
    return processes.wait_gone(leader, SHUTDOWN_DEADLINE)


def _failed(blueprint: Blueprint, what: str) -> LabError:
    lines = []
    if blueprint.console.exists():
        lines = _ANSI.sub("", blueprint.console.read_text(errors="replace")).split("\n")
    tail = [line.rstrip() for line in lines if line.strip()][-CONSOLE_LINES:]
    shown = "".join(f"\n    {line}" for line in tail) or " (empty)"
    return LabError(
        f"machine {blueprint.name} {what}; the end of its console:{shown}",
        hint=f"the whole console log is {blueprint.console}",
    )
