"""Ring 6: the real command line on real machines, with testinfra as the witness that is not ours."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host as Witness

from fleetssh import clock
from fleetssh.lab.cluster import Lab

ROOT = Path(__file__).resolve().parents[2]

# Who runs the tests in the background has them ignore Ctrl-C, and all that they start with them.
signal.signal(signal.SIGINT, signal.default_int_handler)

RESET = """
ours=$(ls /run/fleet/units 2>/dev/null)
[ -z "$ours" ] || timeout 5 systemctl stop -- $ours || systemctl kill -s KILL -- $ours
for f in $ours; do rm -f "/run/systemd/system/$f"; done
systemctl stop 'fleetssh-lease-*.timer' 'fleetssh-lease-*.service' 'fleetssh-lease-*.target'
rm -rf /run/systemd/system/fleetssh-lease-* /run/systemd/system/*.d/50-fleetssh-lease.conf
chattr -i /run/fleet 2>/dev/null
mountpoint -q /run/fleet && umount /run/fleet
rm -rf /run/fleet /etc/fleet
gone=$(find /run/systemd/system -xtype l -print -delete)
[ -z "$ours$gone" ] || systemctl daemon-reload
systemctl reset-failed; systemctl start ssh
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The lines of standard output, split into cells."""
        return [line.split() for line in self.out.splitlines()]


class Fleet:
    """A user at a terminal: a folder with unit files, an inventory, a state file."""

    def __init__(self, lab: Lab, folder: Path, sockets: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.began = clock.monotonic()
        self._sockets = sockets
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("FLEETSSH_", "FLEETCTL_"))},
            "FLEETSSH_INVENTORY": str(lab.inventory_path),
            "FLEETSSH_STATE": str(folder / "state.db"),
            "FLEETSSH_LOST_AFTER_LOOKS": "2",
            "FLEETSSH_LOST_AFTER_SECONDS": "1",
            "FLEETSSH_CONNECT_TIMEOUT": "2",
        }

    def run(self, *args: str, code: int | None = 0, timeout: float = 120, stdin: str = "") -> Answer:
        """Runs fleetssh; fails the test when the exit code is not ``code`` (``None``: any)."""
        done = subprocess.run(
            [sys.executable, "-m", "fleetssh", *args],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        # How far slow work is depends on this computer, and is tested elsewhere.
        told = [line for line in done.stderr.splitlines(True) if not line.startswith("visiting machines ")]
        answer = Answer(done.returncode, done.stdout, "".join(told))
        assert "Traceback" not in answer.err, answer.err
        if code is not None:
            said = f"$ fleetssh {shlex.join(args)}\n{answer.out}{answer.err}"
            assert answer.code == code, f"exit {answer.code}, not {code}\n{said}"
        return answer

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Starts fleetssh and leaves it running; the test ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "fleetssh", *args],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def unit(self, name: str, text: str) -> str:
        """Writes a unit file into the user's folder."""
        (self.folder / name).write_text(text)
        return name

    def witness(self, machine: str) -> Witness:
        """testinfra's view of a machine, over OpenSSH and not over anything of ours."""
        found = next(m for m in self.lab.machines() if m.name == machine)
        config = self.folder / f"ssh_config_{machine}"
        # One connection for all tests; a machine that was booted anew gets a new one.
        config.write_text(
            f"Host *\n  UserKnownHostsFile {self.lab.known_hosts_path}\n  IdentityFile {self.lab.key_path}\n"
            "  IdentitiesOnly yes\n  User root\n  ControlMaster auto\n  ControlPersist 30\n"
            f"  ControlPath {self._sockets}/{machine}.{found.pid}\n"
            "  ServerAliveInterval 1\n  ServerAliveCountMax 3\n"
        )
        return testinfra.get_host(f"ssh://root@{found.address}", ssh_config=str(config))

    def witnesses(self) -> dict[str, Witness]:
        """Every machine's witness by machine name."""
        return {machine.name: self.witness(machine.name) for machine in self.lab.machines()}

    def running_on(self, unit: str) -> list[str]:
        """The machines on which systemd says the unit is active, asked from outside."""
        return [name for name, host in self.witnesses().items() if host.service(unit).is_running]

    def machine_ids(self) -> dict[str, str]:
        """Machine name -> machine id."""
        return {machine.name: machine.machine_id for machine in self.lab.machines()}

    def legend(self, machine: str) -> str:
        """fleet's short form of a lab machine."""
        found = next(m for m in self.lab.machines() if m.name == machine)
        return f"{found.machine_id[:8]}.../{found.address}"

    def units(self) -> dict[str, list[tuple[str, str, str]]]:
        """``list-units`` as unit -> [(machine, active, sub)]."""
        rows: dict[str, list[tuple[str, str, str]]] = {}
        for name, machine, active, sub in self.run("list-units", "--no-legend").rows:
            rows.setdefault(name, []).append((machine, active, sub))
        return rows

    def files(self) -> dict[str, list[str]]:
        """``list-unit-files`` as unit -> [hash, dstate, state, target]."""
        return {row[0]: row[1:] for row in self.run("list-unit-files", "--no-legend").rows}


def wait_for(condition: object, seconds: float = 30.0, what: str = "condition") -> None:
    """Waits until ``condition()`` is true; fails the test when it does not come."""
    assert callable(condition)
    deadline = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < deadline, f"waited {seconds} s for {what}"
        clock.sleep(0.1)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three real machines for the whole run."""
    assert os.geteuid() == 0, "the live tests need root: the lab makes real machines"
    name = os.environ.get("FLEETSSH_TEST_LAB", "live")  # two runs side by side need two names
    lab = Lab.open(name, tmp_path_factory.mktemp("lab"))
    try:
        lab.up(3, lambda text: print(text, file=sys.stderr))  # noqa: T201
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="session")
def sockets() -> Iterator[Path]:
    """Where the witness keeps its connections: pytest's own folders have longer names than a socket may."""
    with tempfile.TemporaryDirectory(prefix="ssh") as folder:
        yield Path(folder)


@pytest.fixture
def fleet(lab: Lab, tmp_path: Path, sockets: Path) -> Fleet:
    """A user on three clean machines, whatever the test before did to them."""
    reset(lab)
    return Fleet(lab, tmp_path, sockets)


def reset(lab: Lab) -> None:
    """Every machine running, reachable, and with nothing of ours on it."""
    for machine in lab.machines():
        match machine.state:
            case "off":
                lab.boot(machine.name)
            case "frozen":
                lab.thaw(machine.name)
            case "cut":
                lab.heal(machine.name)
            case _:
                pass
        done = lab.run_inside(machine.name, ["/bin/sh", "-c", RESET])
        assert done.returncode == 0, done.stderr


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is live."""
    here = Path(__file__).parent
    for item in items:
        with contextlib.suppress(ValueError):
            item.path.relative_to(here)
            item.add_marker(pytest.mark.live)
