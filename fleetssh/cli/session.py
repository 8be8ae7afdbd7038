"""One run of the program: its settings, and what they open - each part only when it is first needed."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fleetssh.core.errors import CommandError, InventoryError, StoreError, UsageError

if TYPE_CHECKING:
    from fleetssh.control.cluster import Cluster
    from fleetssh.hosts import Carrier
    from fleetssh.inventory import Host, Inventory
    from fleetssh.store import Store

HOLD_SECONDS = 60.0
"""How long a verb waits for another controller: most passes are over by then, and a person still waits."""

DEFAULT_INVENTORY = Path("inventory.yml")


@dataclass(frozen=True, slots=True)
class Settings:
    """The global flags; ``None`` leaves a default to the part that it belongs to."""

    inventory: str | None = None
    state: str | None = None
    cluster: str = "default"
    forks: int | None = None
    lost_after_looks: int | None = None
    lost_after_seconds: float | None = None
    connect_timeout: float | None = None
    silence_timeout: float | None = None
    ssh_username: str | None = None
    known_hosts_file: str | None = None
    accept_new_host_keys: bool = False
    strict_host_key_checking: bool = True
    debug: bool = False


class Session:
    """Settings, and the store, inventory and carrier that follow from them."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = os.environ if environ is None else environ
        self.settings = Settings()
        self.verb = ""
        self._said: set[str] = set()

    def set(self, name: str, value: object, *, override: bool) -> None:
        """Gives a setting its value; one that was set before stays, unless ``override``."""
        if override or name not in self._said:
            self._said.add(name)
            self.settings = replace(self.settings, **{name: value})  # type: ignore[arg-type]

    def begin(self, verb: str) -> None:
        """The settings are complete. Raises UsageError for what will not be done."""
        self.verb = verb
        if not self.settings.strict_host_key_checking:
            raise UsageError(
                "host keys are always checked: --strict-host-key-checking=false is not supported",
                hint="--accept-new-host-keys trusts and keeps the key of a machine that is seen first",
            )
        if self.settings.debug:
            logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        else:
            # Without a handler Python prints libraries' complaints; ours are told as values.
            logging.getLogger().addHandler(logging.NullHandler())
            warnings.simplefilter("ignore")

    @property
    def operator(self) -> str:
        """Who is at work, ``user@host``: what machines are told, and what tells controllers apart."""
        names = ("SUDO_USER", "USER", "LOGNAME")
        user = next((self.environ[name] for name in names if self.environ.get(name)), "") or _login_name()
        return f"{user}@{socket.gethostname()}"

    @property
    def doing(self) -> str:
        """With what the operator is at work."""
        return f"fleetssh {self.verb}, pid {os.getpid()}"

    @property
    def who(self) -> str:
        """Who is at work and with what, for events."""
        return f"{self.operator} ({self.doing})"

    @cached_property
    def store(self) -> Store:
        """The cluster's state."""
        from fleetssh.store import open_store

        return open_store(self.settings.state, self.settings.cluster, self.environ)

    def reopen_store(self) -> Store:
        """The cluster's state as its file is now, instead of the open one. Raises StoreError, also when there
        is no file: none is made."""
        from fleetssh.store import open_store

        if not self.has_store():
            raise StoreError(f"there is no state file {self.state_path()}")
        store = open_store(self.settings.state, self.settings.cluster, self.environ)
        before, self.__dict__["store"] = self.store, store
        before.close()
        return store

    def state_path(self) -> Path:
        """The file that the cluster's state is in, or would be in. Raises StoreError when there is none."""
        from fleetssh.store import state_file

        return state_file(self.settings.state, self.settings.cluster, self.environ)

    def has_store(self) -> bool:
        """Whether there is a store already; looking makes none. Raises UsageError."""
        from fleetssh.store import store_exists

        return store_exists(self.settings.state, self.settings.cluster, self.environ)

    @cached_property
    def inventory(self) -> Inventory:
        """The machines, with the settings that go for all of them; its warnings are told once."""
        from fleetssh.cli.output import note

        inventory = self.read_inventory()
        note(*(f"WARNING: {text}" for text in inventory.warnings))
        if self.environ.get("FLEETCTL_TUNNEL"):
            note("WARNING: FLEETCTL_TUNNEL has no effect: give the machines a ProxyJump in ~/.ssh/config")
        return inventory

    def read_inventory(self) -> Inventory:
        """``inventory`` as it is in the file now. Raises InventoryError."""
        from fleetssh.inventory import load_inventory

        inventory = load_inventory(self.inventory_path())
        return replace(inventory, hosts=tuple(self._with_settings(host) for host in inventory.hosts))

    def require_inventory(self) -> None:
        """Raises InventoryError now, rather than after something was changed that machines must learn of."""
        _ = self.inventory

    @cached_property
    def carrier(self) -> Carrier:
        """Carries visits over SSH."""
        from fleetssh.hosts.keeping import SILENCE_SECONDS
        from fleetssh.hosts.over_fabric import CONNECT_SECONDS, FabricCarrier

        return FabricCarrier(
            accept_new_host_keys=self.settings.accept_new_host_keys,
            connect_seconds=self.settings.connect_timeout or CONNECT_SECONDS,
            silence_seconds=self.settings.silence_timeout or SILENCE_SECONDS,
        )

    @cached_property
    def cluster(self) -> Cluster:
        """What a pass works with."""
        from fleetssh.control.cluster import Cluster
        from fleetssh.core.health import Patience
        from fleetssh.hosts.crew import FORKS, Crew

        default = Patience()
        looks, seconds = self.settings.lost_after_looks, self.settings.lost_after_seconds
        patience = replace(
            default,
            looks=default.looks if looks is None else looks,
            seconds=default.seconds if seconds is None else seconds,
        )
        crew = Crew(self.settings.forks or FORKS)
        return Cluster(self.inventory, self.store, self.carrier, self.who, patience, crew)

    def hold(self, wait_seconds: float = HOLD_SECONDS) -> AbstractContextManager[int]:
        """Be the only controller inside the ``with``, which is given the fence. Raises StoreHeld, naming the
        other one, after waiting for it."""
        return self.store.hold(self.operator, self.doing, wait_seconds)

    def host(self, name: str) -> Host:
        """The inventory host ``name``. Raises CommandError when it has been taken out."""
        for host in self.inventory.hosts:
            if host.name == name:
                return host
        raise CommandError(
            f"machine {name} is no longer in the inventory {self.inventory.source}",
            hint="'fleetssh reconcile' moves its units to other machines",
        )

    def close(self) -> None:
        """Closes what was opened."""
        for part in ("carrier", "store"):
            opened = self.__dict__.pop(part, None)
            if opened is not None:
                opened.close()

    def inventory_path(self) -> Path:
        """The inventory that was named, or the one in the current folder. Raises InventoryError for none."""
        if self.settings.inventory:
            return expand_home(self.settings.inventory)
        if DEFAULT_INVENTORY.exists():
            return DEFAULT_INVENTORY
        raise InventoryError(
            "no inventory: which machines are there?",
            hint="name one with --inventory PATH or FLEETSSH_INVENTORY, or write ./inventory.yml; "
            "'fleetssh lab up' makes machines and an inventory to try things with",
        )

    def _with_settings(self, host: Host) -> Host:
        user, keys = self.settings.ssh_username, self.settings.known_hosts_file
        return replace(
            host,
            user=user or host.user,
            known_hosts=str(expand_home(keys).absolute()) if keys else host.known_hosts,
        )


def expand_home(path: str) -> Path:
    """``~`` and ``~user`` as home folders; the name of nobody stays as it is (fleet leaves ``~~`` alone)."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises for nobody's name


def _login_name() -> str:
    import pwd

    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return f"uid {os.getuid()}"
