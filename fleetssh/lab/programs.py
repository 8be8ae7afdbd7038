"""Programs of this computer that the lab needs: are they there, and run one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fleetssh.core.errors import LabError

PROGRAM_TIMEOUT = 30.0
"""Seconds: everything the lab runs takes milliseconds; only a hung kernel or disk takes this long."""

# Administrators' programs are missing from the PATH of shells that `su` gives.
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))

PACKAGES = (
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("ip", "iproute2"),
    ("ssh-keygen", "openssh-client"),
    ("nsenter", "util-linux"),
)
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

VAGRANT_HINT = "machines of another kind: `vagrant up`, then use the inventory inventories/vagrant"


def require_root() -> None:
    """Raise ``LabError`` unless we may make namespaces, mounts and bridges."""
    if os.geteuid() != 0:
        raise LabError(
            "the lab needs root, because it makes network and mount namespaces on this computer",
            hint=f"run it with sudo; or {VAGRANT_HINT}",
        )


def require_programs() -> None:
    """Raise ``LabError`` that names every package to install, when one is missing."""
    missing = [package for program, package in PACKAGES if find(program) is None]
    if not DEBIAN_KEYRING.exists():
        missing.append("debian-archive-keyring")
    if not missing:
        return
    if find("apt-get") is None:
        raise LabError(
            f"the lab needs a Debian-like computer with systemd-nspawn (missing here: {', '.join(missing)})",
            hint=VAGRANT_HINT,
        )
    raise LabError(
        f"the lab needs programs that are not installed: {', '.join(missing)}",
        hint=f"apt-get install {' '.join(missing)}",
    )


def find(program: str) -> str | None:
    """The full path of a program, ``None`` when it is not installed."""
    return shutil.which(program, path=SEARCH_PATH)


def environment(**extra: str) -> dict[str, str]:
    """A clean environment in the machines' language; nothing of the caller's shell leaks into a machine."""
    return {"PATH": SEARCH_PATH, "LC_ALL": "C", **extra}


def run(argv: Sequence[str], text: str = "", timeout: float = PROGRAM_TIMEOUT) -> str:
    """Run a program with ``text`` as its input and give its output; ``LabError`` when it fails."""
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, timeout=timeout, env=environment(), check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(argv)}` gave no answer in {timeout:.0f} s") from error
    except OSError as error:
        raise LabError(f"`{argv[0]}` could not be run: {error.strerror}") from error
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise LabError(f"`{' '.join(argv)}` failed: {said}")
    return done.stdout
