"""A machine for the wire's tests: real shells in a private mount namespace, and a systemd that remembers.

The namespace hides this computer's /run and /etc behind folders of the test's own, so a visit's program runs
as it is, fixed paths and all. Only systemd is played: ``systemctl`` and ``journalctl`` below keep units as
files and write down how they were called. The real one is asked in the live tests.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fleetssh.core.sighting import Reached, Sighting
from fleetssh.wire.reply import read_reply
from fleetssh.wire.script import Script

SHELLS = {"dash": "/usr/bin/dash", "bash": "/usr/bin/bash", "busybox": "/usr/bin/busybox"}
"""Each is put in the place of /bin/sh; called by that name, bash follows POSIX and busybox is ash."""

MACHINE_ID = "14ffe4c3000000000000000000000001"

SYSTEMCTL = r"""#!/bin/bash
# A unit is a file in /run/sim/units: "LOAD ACTIVE SUB". What a test puts into /run/sim/mute, stubborn or
# broken makes it silent, unable to stop, unable to start; each line in ending refuses one start. What stands
# in slow is how many seconds a start takes.
set -f
mkdir -p /run/sim/units; printf '%s\n' "$*" >>/run/sim/calls
[ -e /run/sim/mute ] && { echo 'Failed to connect to bus: Connection refused' >&2; exit 1; }
verb= names=() properties=()
while [ $# -gt 0 ]; do
  case $1 in
    --) shift; names=("$@"); break ;;
    -p) shift; properties+=("$1") ;;
    -*) ;;
    *) [ -z "$verb" ] && verb=$1 ;;
  esac
  shift
done
put() { printf '%s\n' "$2 $3 $4" >"/run/sim/units/$1"; }
get() { cat "/run/sim/units/$1" 2>/dev/null || echo 'not-found inactive dead'; }
is_in() { [ -f "/run/sim/$1" ] && grep -qxF -- "$2" "/run/sim/$1"; }
[ -e /run/fleet/manifest ] && cp /run/fleet/manifest "/run/sim/manifest.$verb"
status=0
case $verb in
  list-units)
    cd /run/sim/units && set +f
    for name in *; do
      [ -e "$name" ] || continue
      wanted=; [ ${#names[@]} -gt 0 ] || wanted=yes
      for pattern in "${names[@]}"; do [[ $name == $pattern ]] && wanted=yes; done
      [ -z "$wanted" ] || echo "  $name $(cat -- "$name") A unit of the test"
    done ;;
  show)
    if [ ${#names[@]} -eq 0 ]; then
      printf 'Version=252.39-1~deb12u1\nArchitecture=x86-64\n'
    fi
    for name in "${names[@]}"; do printf 'Id=%s\nResult=exit-code\nExecMainStatus=203\n\n' "$name"; done ;;
  is-active)
    for name in "${names[@]}"; do read -r _ active _ < <(get "$name"); echo "$active"; done; status=3 ;;
  start|restart)
    [ ! -e /run/sim/slow ] || sleep "$(cat /run/sim/slow)"
    if [ -s /run/sim/ending ]; then
      sed -i 1d /run/sim/ending
      echo 'Transaction for a.timer/start is destructive (a.target has stop job queued).' >&2; exit 1
    fi
    for name in "${names[@]}"; do
      put "$name" loaded active running
      is_in broken "$name" && { put "$name" loaded failed failed; status=1; }
    done
    [ $status -eq 0 ] || echo 'Job failed. See "journalctl -xe" for details.' >&2 ;;
  stop)
    for name in "${names[@]}"; do
      is_in stubborn "$name" || put "$name" loaded inactive dead
    done ;;
esac
exit $status
"""

JOURNALCTL = r"""#!/bin/bash
printf 'journalctl %s\n' "$*" >>/run/sim/calls
case " $* " in
  *" json "*) cat /run/sim/jobs 2>/dev/null ;;
  *" cat "*) cat "/run/sim/log/${!##*=}" 2>/dev/null ;;
esac
exit 0
"""

ENTER = r"""
mount --bind {root}/run /run && mount --bind {root}/etc /etc || exit 99
mount --bind {root}/bin /usr/local/bin || exit 99
{extra}
mount --bind {shell} "$(readlink -f /bin/sh)" || exit 99
exec {login}
"""


def can_enter() -> bool:
    """Whether private mount namespaces can be made here (root, or user namespaces that are allowed)."""
    return subprocess.run([*_unshare(), "true"], capture_output=True).returncode == 0


def _unshare() -> list[str]:
    mine = os.geteuid() == 0
    return ["unshare", "--mount", "--propagation", "private", *([] if mine else ["--map-root-user"])]


@dataclass(frozen=True)
class Ran:
    """What a program gave."""

    status: int
    out: bytes
    err: bytes


class Machine:
    """One machine below ``root``; ``shell`` is its /bin/sh, ``extra`` what else its namespace is made of
    (shell commands)."""

    def __init__(self, root: Path, shell: str = "dash", extra: str = "") -> None:
        self.root = root
        self.shell = SHELLS[shell]
        self.extra = extra
        self.units = root / "run/fleet/units"
        self.manifest = root / "run/fleet/manifest"
        self.links = root / "run/systemd/system"
        self.own = root / "etc/systemd/system"
        self.sim = root / "run/sim"
        for folder in (self.links, self.own, self.sim, root / "bin", root / "etc/fleet", root / "run/mount"):
            folder.mkdir(parents=True)
        (root / "etc/machine-id").write_text(MACHINE_ID + "\n")
        (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"')  # as some are: no last newline
        (root / "etc/fleet/fleet.conf").write_text('metadata="disk=ssd,region=eu"')
        for name, text in {"systemctl": SYSTEMCTL, "journalctl": JOURNALCTL}.items():
            (root / "bin" / name).write_text(text)
            (root / "bin" / name).chmod(0o755)

    def enter(self, login: str, stdin: bytes = b"", timeout: float = 60) -> Ran:
        """Runs the command line ``login`` inside."""
        root = shlex.quote(str(self.root))
        setup = ENTER.format(root=root, extra=self.extra, shell=self.shell, login=login)
        command = [*_unshare(), "/usr/bin/bash", "-c", setup]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, cwd=self.root)
        assert done.returncode != 99, done.stderr.decode()
        return Ran(done.returncode, done.stdout, done.stderr)

    def run(self, visit: Script) -> Ran:
        """Carries a visit as sshd does: the command through a login shell, the program on standard input."""
        return self.enter(f"/bin/sh -c {shlex.quote(visit.command)}", visit.program)

    def visit(self, visit: Script, seen_at: float = 0.0) -> Sighting:
        """Carries a visit and reads its reply."""
        ran = self.run(visit)
        return read_reply("h1", "10.1.1.1", visit.mark, ran.out, seen_at)

    def reached(self, visit: Script) -> Reached:
        """Carries a visit to a machine that must answer."""
        sighting = self.visit(visit)
        assert isinstance(sighting, Reached), sighting
        return sighting

    # ------------------------------------------------------------ what systemd was asked, and what it holds

    def calls(self, verb: str) -> list[str]:
        """The command lines with which systemctl was asked to do ``verb``."""
        path = self.sim / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if verb in line.split(" -- ")[0].split()]

    def manifest_at(self, verb: str) -> str:
        """The manifest as it was when systemctl was last asked to do ``verb``."""
        return (self.sim / f"manifest.{verb}").read_text()

    def asked(self, verb: str) -> list[str]:
        """The units for which systemctl was asked to do ``verb``, in order."""
        return [name for line in self.calls(verb) for name in line.partition(" -- ")[2].split()]

    def set_state(self, name: str, active: str, sub: str, load: str = "loaded") -> None:
        """Makes systemd hold a unit in a state."""
        (self.sim / "units").mkdir(exist_ok=True)
        (self.sim / "units" / name).write_text(f"{load} {active} {sub}\n")

    def state(self, name: str) -> str:
        """systemd's words for a unit; empty when it was never touched."""
        path = self.sim / "units" / name
        return path.read_text().strip() if path.exists() else ""

    def files(self) -> dict[str, bytes]:
        """The units folder."""
        return {path.name: path.read_bytes() for path in sorted(self.units.glob("*"))}

    def tree(self) -> dict[str, tuple[str, bytes]]:
        """Every path below the machine's root, what kind it is and what it holds."""
        tree = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_symlink():
                tree[str(path)] = ("link", os.fsencode(path.readlink()))
            elif path.is_dir():
                tree[str(path)] = ("folder", b"")
            else:
                tree[str(path)] = ("file", path.read_bytes())
        return tree
