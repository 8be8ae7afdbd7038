"""How to log in: the inventory's key file, or the user's agent and default keys; and for how long to try."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType


def handshake_limits(seconds: float) -> dict[str, float]:
    """What to tell paramiko about how long a greeting and a login may take."""
    return {"banner_timeout": seconds, "auth_timeout": seconds}


class KeyFileError(Exception):
    """A key file cannot be used; its text says which, and why."""


class Logins:
    """The key files of a run, each read once however many machines share it."""

    def __init__(self) -> None:
        self._keys: dict[str, paramiko.PKey | None] = {}
        self._lock = threading.Lock()

    def choose(self, key_file: str | None) -> dict[str, Any]:
        """What to tell paramiko about keys. Raises KeyFileError."""
        if not key_file:
            return {}
        with self._lock:
            if key_file not in self._keys:
                self._keys[key_file] = _read(key_file)
            key = self._keys[key_file]
        if key is None:
            return {"look_for_keys": False}
        # Given as a key: of a file the library tells why it is no key of the last kind that it tries.
        return {"pkey": key, "look_for_keys": False, "allow_agent": False}


def _read(path: str) -> paramiko.PKey | None:
    """The key in a file; ``None`` for an encrypted one, which the agent may have."""
    if Path(path).exists() and not Path(path).is_file():
        raise KeyFileError(f"its key file {path} is no file")
    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError) as error:
        if os.environ.get("SSH_AUTH_SOCK"):
            return None
        raise KeyFileError(
            f"its key file {path} is encrypted, and no ssh-agent runs: see ssh-add(1)"
        ) from error
    except OSError as error:
        raise KeyFileError(f"its key file {path} cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm, UnknownKeyType, paramiko.SSHException) as error:
        hint = "; it is the public key, name the private one" if path.endswith(".pub") else ""
        raise KeyFileError(f"its key file {path} is no private key{hint}") from error
