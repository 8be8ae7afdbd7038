"""Where things lie on a machine; the only list of remote paths."""

from __future__ import annotations

FLEET = "/run/fleet"
"""Everything of ours. Under /run on purpose (fleet's own place): a reboot forgets it, nothing else does."""

UNITS = f"{FLEET}/units"
MANIFEST = f"{FLEET}/manifest"
LOCK = f"{FLEET}/lock"
HOLDER = f"{FLEET}/holder"
LOOK = f"{FLEET}/look"
HOLDER_LOCK = f"{FLEET}/holder.lock"
LINKS = "/run/systemd/system"
CONF = "/etc/fleet/fleet.conf"

OWN_UNIT_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system.attached",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
)
"""Where a machine keeps units of its own. A name found there is never overwritten or shadowed."""
