"""Host keys against an SSH server of this process: what is trusted, what is written down, what is refused.

Numbers like F-220 name fleet's own tests.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import paramiko
import pytest

from fleetssh.core.sighting import Failure, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host

KEYS = [paramiko.ECDSAKey.generate() for _ in range(2)]


class NobodyMayLogIn(paramiko.ServerInterface):
    """Refuses every login, so that a host key which was accepted shows as a refused login."""

    def get_allowed_auths(self, _username: str) -> str:
        return "publickey"


@contextmanager
def serving(key: paramiko.PKey) -> Iterator[int]:
    """The port of an SSH server with the host key ``key``."""
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                transport = paramiko.Transport(peer)
                transport.add_server_key(key)
                transports.append(transport)
                transport.start_server(server=NobodyMayLogIn(), event=threading.Event())

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for transport in transports:
                transport.close()


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server with the first key."""
    with serving(KEYS[0]) as port:
        yield port


@pytest.fixture
def login(tmp_path: Path) -> Path:
    """A key that opens nothing."""
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def line(port: int, key: paramiko.PKey) -> str:
    """A line of a known_hosts file."""
    return f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n"


def connect(port: int, login: Path, known_hosts: Path, *, accept_new: bool = False) -> Unreached:
    """Why a connection was given up: nobody may log in, so a trusted host key shows as ``LOGIN``."""
    host = Host("m1", "127.0.0.1", port, "core", str(login), False, str(known_hosts), {}, (), "")
    with closing(FabricCarrier(accept_new_host_keys=accept_new, connect_seconds=60.0)) as carrier:
        answer = carrier.visit(host, Visit(), 60.0)
    assert isinstance(answer, Unreached)
    return answer


def test_a_known_key_is_accepted_and_another_one_of_that_host_is_not(
    port: int, login: Path, tmp_path: Path
) -> None:
    """F-220"""
    known = tmp_path / "known_hosts"
    known.write_text(line(port, KEYS[0]))
    assert connect(port, login, known).failure is Failure.LOGIN
    known.write_text(line(port, KEYS[1]))
    for accept_new in (False, True):
        refused = connect(port, login, known, accept_new=accept_new)
        assert (refused.failure, refused.message) == (
            Failure.HOST_KEY,
            "its host key has changed; nothing is sent to it",
        )
    assert known.read_text() == line(port, KEYS[1])


def test_an_unknown_key_is_refused_or_else_written_down_and_then_known(
    port: int, login: Path, tmp_path: Path
) -> None:
    """F-221. Nobody is asked: the flag --accept-new-host-keys is the answer given beforehand."""
    known = tmp_path / "new" / "known_hosts"
    refused = connect(port, login, known)
    assert refused.failure is Failure.HOST_KEY
    shown = f"its key {KEYS[0].get_name()} {KEYS[0].fingerprint} is not in {known}"
    assert refused.message == f"{shown}; --accept-new-host-keys trusts it"
    assert not known.exists()
    assert connect(port, login, known, accept_new=True).failure is Failure.LOGIN
    assert known.read_text() == line(port, KEYS[0])
    assert connect(port, login, known).failure is Failure.LOGIN
    assert known.read_text() == line(port, KEYS[0])


def test_a_fingerprint_is_told_as_openssh_does_today(port: int, login: Path, tmp_path: Path) -> None:
    """F-226, F-227: the key type under its own name and SHA-256, where fleet had three names and MD5."""
    refused = connect(port, login, tmp_path / "none")
    assert f"ecdsa-sha2-nistp256 SHA256:{KEYS[0].fingerprint.partition(':')[2]}" in refused.message


def test_what_stands_in_the_file_stays_when_a_key_is_added(port: int, login: Path, tmp_path: Path) -> None:
    """F-222, F-223: OpenSSH reads what is written, and lines of others stay byte for byte."""
    known = tmp_path / "known_hosts"
    before = f"# mine\n\nother,[other]:2222 {KEYS[1].get_name()} {KEYS[1].get_base64()} a comment\n"
    known.write_text(before)
    assert connect(port, login, known, accept_new=True).failure is Failure.LOGIN
    assert known.read_text() == before + line(port, KEYS[0])
    written = paramiko.HostKeys(str(known))
    for name, key in {f"[127.0.0.1]:{port}": KEYS[0], "other": KEYS[1], "[other]:2222": KEYS[1]}.items():
        assert written.check(name, key), name


def test_a_file_that_is_not_there_knows_nobody_and_one_that_cannot_be_written_is_told(
    port: int, login: Path, tmp_path: Path
) -> None:
    """F-224: for fleet a missing file was an error; OpenSSH has none either on its first day."""
    assert connect(port, login, tmp_path / "none").failure is Failure.HOST_KEY
    (tmp_path / "file").touch()
    refused = connect(port, login, tmp_path / "file" / "known_hosts", accept_new=True)
    assert refused.failure is Failure.LOCAL
    assert refused.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage\n",
        "[127.0.0.1]\n",
        "# [127.0.0.1]:{port} ssh-rsa AAAA\n",
        "\0\xff\n",
        "a b c\n" * 3,
        "@cert-authority * ssh-rsa AAAA\n",
        "|1|salt|hash ssh-rsa AAAA\n",
        "|1| ssh-rsa AAAA\n",
    ],
)
def test_lines_that_mean_nothing_are_no_keys(text: str, port: int, login: Path, tmp_path: Path) -> None:
    """F-225; and they spoil no line beside them."""
    known = tmp_path / "known_hosts"
    known.write_text(text.replace("{port}", str(port)), encoding="latin-1")
    assert connect(port, login, known).failure is Failure.HOST_KEY
    with known.open("a") as lines:
        lines.write(line(port, KEYS[0]))
    assert connect(port, login, known).failure is Failure.LOGIN


def test_a_hashed_name_is_known(port: int, login: Path, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    hashed = paramiko.HostKeys.hash_host(f"[127.0.0.1]:{port}")
    known.write_text(line(port, KEYS[0]).replace(f"[127.0.0.1]:{port}", hashed))
    assert connect(port, login, known).failure is Failure.LOGIN


def test_the_line_of_a_host_names_its_port_unless_it_is_22(login: Path, tmp_path: Path) -> None:
    """F-228: see also the names of hosts in an inventory, where addresses are told from ports."""
    known = tmp_path / "known_hosts"
    with serving(KEYS[0]) as port:
        known.write_text(line(port, KEYS[0]).replace(f"[127.0.0.1]:{port}", "127.0.0.1"))
        assert connect(port, login, known).failure is Failure.HOST_KEY
        known.write_text(line(port, KEYS[0]))
        assert connect(port, login, known).failure is Failure.LOGIN


@pytest.mark.parametrize(
    ("names", "is_known"),
    [
        ("[127.0.0.1]:{port}", True),
        ("a,[127.0.0.1]:{port},b", True),
        ("[127.0.0.2]:{port}", False),
        ("a,b", False),
        ("[127.*]:{port}", True),
        ("[127.0.0.?]:{port}", True),
        ("*", True),
        ("[127.0.0.1]:?", False),
        ("*,![127.0.0.1]:{port}", False),
        ("![127.0.0.1]:*,*", False),
        ("*,![127.0.0.2]:{port}", True),
        ("![127.0.0.2]:{port}", False),
    ],
)
def test_names_in_a_line_are_patterns(
    names: str, is_known: bool, port: int, login: Path, tmp_path: Path
) -> None:
    """F-229, F-230"""
    known = tmp_path / "known_hosts"
    known.write_text(f"{names.replace('{port}', str(port))} {KEYS[0].get_name()} {KEYS[0].get_base64()}\n")
    assert connect(port, login, known).failure is (Failure.LOGIN if is_known else Failure.HOST_KEY)
