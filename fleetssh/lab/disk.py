"""A machine's own disk: a layer over the shared image that holds what makes the machine itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fleetssh.core.errors import LabError
from fleetssh.lab import programs

USERS = ("root", "ops", "nosudo")
"""The users of the image that the lab's key may log in as."""

HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


def make_key_pair(path: Path, comment: str) -> str:
    """Make an ed25519 key pair at ``path`` and ``path``.pub unless it is there; gives the public line."""
    public = path.with_suffix(".pub")
    if not public.exists():
        # The public half is written last, so without it the private half may be half a file.
        path.unlink(missing_ok=True)
        programs.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
    return public.read_text().strip()


def make_disk(folder: Path, image: Path, name: str, machine_id: str, login_key: str) -> str:
    """Make the disk of a machine in ``folder`` unless it is there, and give its public host key as
    ``TYPE BASE64``. The disk appears complete or not at all; it is kept over power cuts and reboots."""
    layer = upper_layer(folder)
    kept_key = folder / "host_key.pub"
    if layer.is_dir():
        return _without_comment(kept_key.read_text())
    draft = folder / "disk.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    draft.chmod(0o755)
    _put(draft, image, "etc/machine-id", machine_id + "\n", 0o444)
    _put(draft, image, "etc/hostname", name + "\n")
    _put(draft, image, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    for home in _homes(image):
        _put(draft, image, f"{home}/.ssh/authorized_keys", login_key + "\n", 0o600)
    _make_parents(draft, image, HOST_KEY)
    host_key = make_key_pair(draft / HOST_KEY, f"root@{name}")
    # What known_hosts says is the key the machine was born with, also when it is changed inside later.
    kept_key.write_text(host_key + "\n")
    draft.rename(layer)
    return _without_comment(host_key)


def upper_layer(folder: Path) -> Path:
    """What the machine wrote, as an overlayfs upper layer."""
    return folder / "disk"


def overlay_option(image: Path, folder: Path) -> str:
    """systemd-nspawn's ``--overlay=`` that makes the layer over the image the machine's root."""
    return f"--overlay={_escape(image)}:{_escape(upper_layer(folder))}:/"


def drop_workdirs(folder: Path) -> None:
    """Remove the overlay's scratch folders that a power cut left behind."""
    for scratch in folder.glob(".#disk*"):
        shutil.rmtree(scratch)


def _escape(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace(":", "\\:")


def _homes(image: Path) -> list[str]:
    accounts = [line.split(":") for line in (image / "etc/passwd").read_text().splitlines()]
    homes = {account[0]: account[5].lstrip("/") for account in accounts}
    missing = [user for user in USERS if user not in homes]
    if missing:
        raise LabError(
            f"the machine image {image} has no user {', '.join(missing)}",
            hint="remove that folder; it is built again",
        )
    return [homes[user] for user in USERS]


def _put(layer: Path, image: Path, path: str, text: str, mode: int = 0o644) -> None:
    """Write one file; it belongs to whoever owns its folder in the image."""
    folder = _make_parents(layer, image, path)
    target = layer / path
    target.write_text(text)
    target.chmod(mode)
    owner = folder.stat()
    os.chown(target, owner.st_uid, owner.st_gid)


def _make_parents(layer: Path, image: Path, path: str) -> Path:
    """Make the folders above ``path`` with the owners and modes that they have in the image: in an overlay
    the upper folder's count."""
    for parent in reversed(Path(path).parents[:-1]):
        own = layer / parent
        if own.is_dir():
            continue
        model = (image / parent).stat()
        own.mkdir()
        own.chmod(model.st_mode & 0o7777)
        os.chown(own, model.st_uid, model.st_gid)
    return (layer / path).parent


def _without_comment(public_key: str) -> str:
    return " ".join(public_key.split()[:2])
