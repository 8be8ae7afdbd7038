"""Files that are no units, units that are hardly any, and units that do not behave."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.conftest import Fleet
from tests.live.misuse import refuse
from tests.live.outside import kinds, main_pid, pinned, service, traces

MIB = 1024 * 1024
RUN = b"[Service]\nExecStart=/bin/sleep infinity\n"


def padded(size: int) -> bytes:
    """A unit of exactly ``size`` bytes in lines of lawful length."""
    line = b"# " + b"x" * 1000 + b"\n"
    text = RUN + line * ((size - len(RUN)) // len(line))
    return text + b"#" * (size - len(text) - 1) + b"\n"


@pytest.fixture
def good(fleet: Fleet) -> Fleet:
    """good.service runs, and is to go on as if nothing were."""
    fleet.unit("good.service", service())
    fleet.run("start", "good")
    return fleet


# ---------------------------------------------------------------- what never gets to a machine

NO_UNITS: dict[str, tuple[bytes, str]] = {
    "bare.service": (b"ExecStart=/bin/true\n", "bare.service: unit has no options"),
    "empty.service": (b"", "empty.service: unit has no options"),
    "binary.service": (
        b"\x7fELF\x02\x01\x01\0" + bytes(range(256)) * 40,
        "binary.service:2: a unit file must be",
    ),
    "nul.service": (b"[Service]\nExecStart=/bin/true\0\n", "nul.service:2: a unit file must be text"),
    "latin.service": (b"[Unit]\nDescription=caf\xe9\n", "latin.service:2: a unit file must be UTF-8"),
    "big.service": (padded(MIB + 1), "big.service is larger than 1048576 bytes"),
    "long.service": (RUN + b"#" + b"x" * 100_000 + b"\n", "long.service:3: line too long: 100001 bytes"),
    "open.service": (b"[Service\nExecStart=/bin/true\n", "open.service:1: unable to find end of section"),
    "prose.service": (b"[Service]\nstart it please\n", "prose.service:2: line without '='"),
    "typo.service": (RUN + b"[X-Fleet]\nMachineOff=a.service\n", "did you mean MachineOf?"),
}


def test_what_is_no_unit_is_refused_with_its_line_and_nothing_else_begins(good: Fleet) -> None:
    before = traces(good)
    for name, (text, says) in NO_UNITS.items():
        (good.folder / name).write_bytes(text)
        refuse(good, "start", "good", name, says=[says])
    refuse(good, "submit", *NO_UNITS, says=["bare.service"])
    assert traces(good) == before


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # as /dev/zero


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def socket(path: Path) -> None:
    os.mknod(path, 0o600 | 0o140000)


def test_what_is_no_file_is_refused_at_once(good: Fleet) -> None:
    """None of them is waited for: a pipe has nobody at its other end, a device no end."""
    before = traces(good)
    makers: list[Callable[[Path], None]] = [folder, pipe, device, dangling, circle, socket]
    for make in makers:
        make(good.folder / f"{make.__name__}.service")
        answer = refuse(good, "start", f"{make.__name__}.service", says=[f"{make.__name__}.service"])
        assert len(answer.err.splitlines()) <= 3
    assert traces(good) == before


NAMES = {
    "..": "...service",
    "../../etc/passwd": "passwd.service",
    "a b.service": "invalid character ' '",
    "a\nb.service": r"invalid character '\n'",
    "$(reboot).service": "invalid character '$'",
    "`reboot`.service": "invalid character '`'",
    "a;reboot.service": "invalid character ';'",
    "a'b.service": 'invalid character "\'"',
    "nothing*": "nothing*",
    "-rf.scope": "unknown flag",
    "x" * 300 + ".service": "unit name is longer than 255 bytes",
    "web.device": "a device unit appears with its hardware",
    "system.slice": "belongs to systemd itself",
    "@.service": "has nothing before its @",
    "\udcff.service": "invalid character",
}
"""What is typed, and what is answered."""


def test_names_made_to_lead_elsewhere_are_refused(good: Fleet) -> None:
    before = traces(good)
    for name, says in NAMES.items():
        answer = good.run("start", name, code=None)
        assert answer.code in (1, 2), name
        assert says in answer.err, f"{name!r}: {answer.err}"
        assert "internal error" not in answer.err
    assert traces(good) == before
    assert list(good.files()) == ["good.service"]


# ---------------------------------------------------------------- hardly units, but units

SOUND: dict[str, bytes] = {
    "crlf.service": RUN.replace(b"\n", b"\r\n"),
    "bom.service": b"\xef\xbb\xbf" + RUN,
    "mib.service": padded(MIB),
    "limit.service": RUN + b"Environment=X=" + b"x" * 2033 + b"\n",
    "endless.service": RUN.rstrip(b"\n"),
    "unknown.service": RUN + b"FlyToTheMoon=yes\n[X-Other]\nKey=value\n",
    "quotes.service": RUN + b"Environment='A=$(reboot) `reboot`' \"B=%% ; \\\\ {} ~ *\"\n# ' \" \\\n",
    "speech.service": "[Unit]\nDescription=Grüße 😀 \u2028 ' \" $x\n".encode() + RUN,
    "a\\x2db:c_d.e@f-1.service": RUN,
}


def test_sound_units_however_odd_arrive_byte_for_byte_and_run(fleet: Fleet) -> None:
    for name, text in SOUND.items():
        (fleet.folder / name).write_bytes(
            text + b"\n[X-Fleet]\nMachineMetadata=name=m2\n" * (len(text) < 9999)
        )
    answer = fleet.run("start", *SOUND)
    assert answer.out.count(" launched on ") == len(SOUND)
    for name in SOUND:
        sent = (fleet.folder / name).read_bytes()
        (home,) = fleet.running_on(name)
        assert fleet.witness(home).file(f"/run/fleet/units/{name}").content == sent
        cat = fleet.popen("cat", name)
        assert cat.stdout is not None
        assert cat.stdout.buffer.read() == sent  # type: ignore[attr-defined]
        assert cat.wait(30) == 0
    assert fleet.run("reconcile").out == ""


# ---------------------------------------------------------------- units that do not behave

UNRULY: dict[str, tuple[str, tuple[str, ...], str | None]] = {
    "done": ("/bin/true", ("Type=oneshot",), None),
    "stays": ("/bin/true", ("Type=oneshot", "RemainAfterExit=yes"), None),
    "fails": ("/bin/false", ("Type=oneshot",), "exit-code, status 1"),
    "vanishes": ("/bin/false", (), "exit-code, status 1"),
    "nobody": ("/bin/sleep infinity", ("User=nobody-of-that-name",), "exit-code, status 217"),
    "nowhere": ("/bin/sleep infinity", ("WorkingDirectory=/no/such",), "exit-code, status 200"),
    "absent": ("/no/such/program", (), "exit-code, status 203"),
    "unsound": ("not/a/path", (), "a bad unit file setting"),
    "dumped": ("/bin/sh -c 'kill -ABRT $$$$'", (), "status 6"),
}
"""What is run and how, and what is told; ``None`` for a unit that is as it should be."""


def test_units_that_do_not_behave_are_told_one_by_one_and_disturb_no_other(good: Fleet) -> None:
    (home,) = good.running_on("good.service")
    pid = main_pid(good.witness(home), "good.service")
    for name, (command, lines, _) in UNRULY.items():
        good.unit(f"{name}.service", pinned(home, *lines, command=command))
    answer = good.run("start", *UNRULY, code=3)
    for name, (_, _, why) in UNRULY.items():
        if why is None:
            assert f"Unit {name}.service launched on {good.legend(home)}" in answer.out
            assert f"Unit {name}.service" not in answer.err
        else:
            assert f"Unit {name}.service launched" not in answer.out
            assert re.search(rf"Unit {name}\.service failed on .*{re.escape(why)}", answer.err), answer.err
    good.run("destroy", *UNRULY)
    assert (
        good.witness(home).run("systemctl list-units --failed --plain --no-legend").stdout.split()[:1] == []
    )
    assert main_pid(good.witness(home), "good.service") == pid
    assert list(good.files()) == ["good.service"]


def test_a_service_that_ends_at_once_with_success_is_not_called_running(good: Fleet) -> None:
    good.unit("brief.service", pinned("m2", command="/bin/true"))
    answer = good.run("start", "brief", code=None)
    assert good.units()["brief.service"] == [(good.legend("m2"), "inactive", "dead")]
    assert kinds(good, "m2", "brief.service") == ["start"]
    assert "internal error" not in answer.err
    assert good.run("reconcile", code=None).out == ""
    assert kinds(good, "m2", "brief.service") == ["start"]


DEAF = "/bin/sh -c 'trap : TERM; while :; do sleep 1000 & wait; done'"


def test_a_unit_that_is_deaf_to_its_end_is_killed_by_systemd_and_goes(good: Fleet) -> None:
    good.unit("deaf.service", pinned("m2", "TimeoutStopSec=1", command=DEAF))
    good.unit("prompt.service", pinned("m2"))
    good.run("start", "deaf", "prompt")
    pid = main_pid(good.witness("m2"), "deaf.service")
    good.run("stop", "deaf", code=None)
    assert good.witness("m2").run("kill -0 %s", str(pid)).rc != 0
    assert kinds(good, "m2", "deaf.service") == ["start", "stop"]
    good.run("start", "deaf")
    good.run("destroy", "deaf")
    assert not good.witness("m2").file("/run/fleet/units/deaf.service").exists
    assert good.running_on("prompt.service") == ["m2"]
    assert kinds(good, "m2", "prompt.service") == ["start"]
