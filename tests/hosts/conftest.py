"""An SSH server of this process, who goes there, and how it is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import paramiko
import pytest

from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host
from tests.hosts.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


@pytest.fixture
def carrier() -> Iterator[FabricCarrier]:
    with closing(FabricCarrier(accept_new_host_keys=True, connect_seconds=10.0)) as carrier:
        yield carrier


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Host:
    login = tmp_path / "id"
    paramiko.ECDSAKey.generate().write_private_key_file(str(login))
    keys = str(tmp_path / "known_hosts")
    return Host("m1", "127.0.0.1", server.port, "core", str(login), False, keys, {}, (), "")
