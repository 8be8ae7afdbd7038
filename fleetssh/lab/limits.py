"""Kernel limits of this computer that are too low for many systemd machines on one kernel."""

from __future__ import annotations

from pathlib import Path

LIMITS = (
    # Every systemd takes several; beyond about 24 machines the default of 128 stops them from booting.
    ("fs/inotify/max_user_instances", 65536),
    # Every login and every service has a keyring; the defaults are 200 keys and 20 kB for each user.
    ("kernel/keys/maxkeys", 20000),
    ("kernel/keys/maxbytes", 2000000),
)


def raise_limits() -> None:
    """Raise each limit that is lower. They stay raised: other labs may need them, and they cost nothing."""
    for name, wanted in LIMITS:
        setting = Path("/proc/sys", name)
        if setting.exists() and int(setting.read_text()) < wanted:
            setting.write_text(str(wanted))
