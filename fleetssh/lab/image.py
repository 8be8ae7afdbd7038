"""The disk image that all machines share: its recipe, its cache, its building."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from fleetssh.core.errors import LabError
from fleetssh.lab import places, programs
from fleetssh.lab.locks import held

SUITE = "bookworm"
VARIANT = "minbase"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "sudo")

MORE_PACKAGES = "FLEETSSH_LAB_PACKAGES"
"""Environment variable: Debian packages, with blanks between them, that the machines have besides."""

MASKED = (
    # No way out of the lab: what wants to fetch would only fail and leave the system "degraded".
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    # No disks and no terminals of their own.
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "console-getty.service",
    "getty@tty1.service",
)

HOOKS = (
    # What must differ between machines is put into each machine's own layer, never here.
    'rm -f "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/ssh/ssh_host_* && : >"$1"/etc/machine-id',
    # ops may become root without a password; nosudo may not: both are needed to try `become`.
    'chroot "$1" useradd --create-home --shell /bin/bash ops',
    'chroot "$1" useradd --create-home --shell /bin/bash nosudo',
    'echo "ops ALL=(ALL:ALL) NOPASSWD: ALL" >"$1"/etc/sudoers.d/ops && chmod 0440 "$1"/etc/sudoers.d/ops',
    'for user in ops nosudo; do chroot "$1" install -d -m 0700 -o $user -g $user /home/$user/.ssh; done',
    'install -d -m 0700 "$1"/root/.ssh',
    # The journal survives a power cut, and forty of them fit on a small disk.
    'mkdir -p "$1"/etc/systemd/journald.conf.d',
    'printf "[Journal]\\nStorage=persistent\\nSystemMaxUse=32M\\n" >"$1"/etc/systemd/journald.conf.d/1.conf',
    f'chroot "$1" systemctl --quiet mask {" ".join(MASKED)}',
)

BUILD_TIMEOUT = 1800.0
"""Seconds: 15 s on a fast network; half an hour is a very slow one."""

LOG_LINES = 5
"""Lines of a failed build that are shown; the whole log stays on disk."""


def packages() -> tuple[str, ...]:
    """What is installed on every machine."""
    return (*PACKAGES, *os.environ.get(MORE_PACKAGES, "").split())


def image_path() -> Path:
    """Where the image of this recipe lies once it is built; another recipe has another path."""
    recipe = json.dumps([SUITE, VARIANT, packages(), HOOKS, platform.machine()])
    return places.cache_folder() / f"{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure_image(progress: Callable[[str], None]) -> Path:
    """Give the image's folder, building it first when the cache has none. Killed halfway, it leaves nothing
    that could be taken for an image; of several builders one builds and the others wait for it."""
    target = image_path()
    if target.is_dir():
        return target

    def tell() -> None:
        progress("waiting for another process that builds the machine image")

    with held(target.parent / "lock", BUILD_TIMEOUT, on_wait=tell):
        if not target.is_dir():
            progress(f"building the machine image (Debian {SUITE}, once; about a minute)")
            _build(target)
    return target


def _build(target: Path) -> None:
    for leftover in target.parent.glob(".build-*"):
        shutil.rmtree(leftover)
    workshop = Path(tempfile.mkdtemp(prefix=".build-", dir=target.parent))
    tree = workshop / "tree"
    log = target.parent / "build.log"
    with log.open("wb") as output:
        try:
            subprocess.run(
                _build_command(tree),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=BUILD_TIMEOUT,
                env=programs.environment(),
                check=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise LabError(
                f"the machine image could not be built: {_last_lines(log) or error}",
                hint=f"the whole log is {log}; is a Debian mirror within reach?",
            ) from error
    tree.rename(target)
    workshop.rmdir()


def _build_command(tree: Path) -> list[str]:
    # The two wrappers make the build die with us: the kernel kills `unshare` when we die, and `unshare`
    # takes everything below it along.
    wrappers = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "--",
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    return [
        *wrappers,
        "mmdebstrap",
        f"--variant={VARIANT}",
        f"--include={','.join(packages())}",
        *(f"--customize-hook={hook}" for hook in HOOKS),
        SUITE,
        str(tree),
        *_system_sources(),
    ]


def _system_sources() -> list[str]:
    """This computer's own Debian sources of our suite; none of them lets mmdebstrap use its default."""
    listing = ("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)")
    try:
        answer = programs.run([*listing, "Created-By: Packages"])
    except LabError:
        return []
    suites = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    found = [line.split() for line in answer.splitlines()]
    ours = [words for words in found if len(words) == 4 and words[0] == "Debian" and words[2] in suites]
    if not any(words[2] == SUITE for words in ours):
        return []
    return [f"deb {uri} {release} {component}" for _, uri, release, component in ours]


def _last_lines(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-LOG_LINES:])
