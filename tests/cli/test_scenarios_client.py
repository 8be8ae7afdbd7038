"""What fleet's tests of its client ask, over a real state file and two played machines.

Numbers like F-045 name fleet's own tests, in their order; what is different on purpose stands in
docs/fleet-differences.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fleetssh import clock
from fleetssh.cli.main import main
from fleetssh.cli.session import Session
from fleetssh.control.waiting import LONGEST_PAUSE_SECONDS
from fleetssh.core.model import MachineRecord, Placement, State, TargetState, Unit, Wanted
from fleetssh.core.requirements import read_unit
from fleetssh.store import open_store
from tests.cli.conftest import Ran
from tests.cli.played import ADDRESSES, IDS, PlayedCarrier, make_machines, write_inventory
from tests.wire.machine import Machine, can_enter

pytestmark = pytest.mark.skipif(not can_enter(), reason="needs root or user namespaces")

INACTIVE, LOADED, LAUNCHED = TargetState.INACTIVE, TargetState.LOADED, TargetState.LAUNCHED
TEXT = "[Service]\nExecStart=/bin/sleep infinity\n"
FIVE = ("j1", "j2", "j3", "j4", "j5")
ID1, ID2 = IDS["m1"], IDS["m2"]
AT1, AT2 = f"{ID1[:8]}.../{ADDRESSES['m1']}", f"{ID2[:8]}.../{ADDRESSES['m2']}"


@dataclass(frozen=True)
class Client:
    """fleetssh in a folder of its own, with its state and its machines."""

    run: Callable[..., Ran]
    folder: Path
    machines: dict[str, Machine]
    carrier: PlayedCarrier

    def write(self, *names: str, text: str = TEXT) -> None:
        """Makes local unit files."""
        for name in names:
            (self.folder / f"{name}.service").write_text(text)

    def submit(self, *names: str, text: str = TEXT) -> None:
        """Makes units that are known and, from now on, have no local file."""
        self.write(*names, text=text)
        assert self.run("submit", *names).code == 0
        for name in names:
            (self.folder / f"{name}.service").unlink()

    def both(self, *argv: str) -> list[int]:
        """The exit codes, sorted, of two clients that are called at the same time."""
        with ThreadPoolExecutor(2) as pool:
            return sorted(pool.map(main, [argv, argv]))

    def state(self, **changed: object) -> State:
        """What the store holds, after changing it."""
        with closing(open_store(None, "default", os.environ)) as store:
            if changed:
                store.commit(replace(store.load(), **changed))
            return store.load()

    def targets(self) -> dict[str, str]:
        """Unit without its suffix -> target state."""
        wanted = self.state().wanted.items()
        return {name.removesuffix(".service"): str(one.target) for name, one in sorted(wanted)}

    def rows(self, *argv: str) -> list[list[str]]:
        """The cells of a listing."""
        ran = self.run(*argv, "--no-legend")
        assert ran.code == 0, ran.err
        return [[cell for cell in line.split("\t") if cell] for line in ran.out.splitlines()]

    def cells(self, listing: str, fields: str, *flags: str) -> list[str]:
        """The cells of the only row of a listing."""
        (row,) = self.rows(listing, f"--fields={fields}", *flags)
        return row


@pytest.fixture
def client(fleetssh: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    machines = make_machines(tmp_path / "machines")
    carrier = PlayedCarrier(machines)
    monkeypatch.setattr(Session, "carrier", property(lambda _: carrier))
    write_inventory(tmp_path / "inventory.yml")
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield Client(fleetssh, tmp_path, machines, carrier)


# ---------------------------------------------------------------- destroy


def test_destroy_forgets_units(client: Client) -> None:
    """F-045 (a)"""
    client.submit(*FIVE)
    assert client.run("destroy", *FIVE).code == 0
    assert client.targets() == {}


def test_of_two_clients_that_destroy_the_same_units_one_is_told_that_they_are_gone(client: Client) -> None:
    """F-045, both at once: fleet told neither."""
    client.submit(*FIVE)
    assert client.both("destroy", *FIVE) == [0, 1]
    assert client.targets() == {}


@pytest.mark.parametrize("units", [("x", "y"), ("j1", "x")], ids=["b-unknown", "c-mixed"])
def test_destroy_with_an_unknown_name_changes_nothing(client: Client, units: tuple[str, ...]) -> None:
    """F-045 (b) and (c): an error, where fleet passed over what it did not know."""
    client.submit("j1", "j2")
    assert client.run("destroy", *units).code == 1
    assert client.targets() == {"j1": "inactive", "j2": "inactive"}


def test_destroy_of_nothing(client: Client) -> None:
    """F-045 (d)"""
    client.submit("j1")
    assert client.run("destroy").code == 0
    assert client.targets() == {"j1": "inactive"}


# ---------------------------------------------------------------- machines in listings


@pytest.mark.parametrize(
    ("flags", "ids"),
    [((), [f"{ID2[:8]}...", f"{ID1[:8]}..."]), (("--full",), [ID2, ID1])],
    ids=["short", "full"],
)
def test_a_machine_is_listed_by_its_short_or_whole_id(
    client: Client, flags: tuple[str, ...], ids: list[str]
) -> None:
    """F-047, F-053: the machine column, sorted by id."""
    assert client.rows("list-machines", "--fields=machine", *flags) == [[id_] for id_ in ids]


def test_address_and_metadata_of_a_machine(client: Client) -> None:
    """F-053: the ip column (F-197: as it was reached), the metadata column sorted by key; F-054: a dash."""
    assert client.rows("list-machines", "--fields=ip,metadata") == [
        [ADDRESSES["m2"], "-"],
        [ADDRESSES["m1"], "foo=bar,ping=pong"],
    ]


def test_a_machine_without_an_address(client: Client) -> None:
    """F-049, F-054: such a machine was reached long ago and is silent now."""
    client.carrier.silent |= {"m1"}
    with closing(open_store(None, "default", os.environ)) as store:
        store.remember([MachineRecord("m1", ID1)])
    client.state(wanted={"a.service": Wanted(read_unit("a.service", TEXT.encode()), LAUNCHED)},
                 placements={"a.service": Placement("a.service", ID1, "x")})  # fmt: skip
    assert client.rows("list-machines")[1:] == [[f"{ID1[:8]}...", "-", "-"]]
    assert client.cells("list-unit-files", "target") == [f"{ID1[:8]}..."]
    assert client.cells("list-unit-files", "target", "--full") == [ID1]


# ---------------------------------------------------------------- list-unit-files


def test_a_unit_that_is_nothing_but_a_name(client: Client) -> None:
    """F-055; target and current state are never unknown here, so they are no dashes."""
    empty = Unit("foo.service", b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "0" * 40)
    empty = replace(empty, digest=empty.hash)
    client.state(wanted={"foo.service": Wanted(empty)})
    cells = client.cells("list-unit-files", "unit,hash,desc,dstate,state,target,tmachine")
    assert cells == ["foo.service", "da39a3e", "-", "inactive", "inactive", "-", "-"]


def test_description_and_hash_of_a_unit(client: Client) -> None:
    """F-055"""
    client.submit("foo", text="[Unit]\nDescription=some description\n")
    assert client.cells("list-unit-files", "desc,hash") == ["some description", "a0f275d"]
    assert client.cells("list-unit-files", "hash", "--full") == ["a0f275d46bc6ee0eca06be7c339913c07d99c0c7"]


@pytest.mark.parametrize(
    ("verb", "state"), [("submit", "inactive"), ("load", "loaded"), ("start", "launched")]
)
def test_the_state_of_a_unit_is_listed_by_its_own_name(client: Client, verb: str, state: str) -> None:
    """F-055: each state; F-079, F-080: and that is what its machine reports of it."""
    client.write("foo")
    assert client.run(verb, "foo").code == 0
    assert client.cells("list-unit-files", "dstate,state") == [state, state]


def test_the_target_of_a_unit(client: Client) -> None:
    """F-055, F-056, F-111: a known machine with its address, one that is gone without, none as a dash."""
    client.write("here")
    assert client.run("start", "here").code == 0
    client.submit("glob", text=TEXT + "[X-Fleet]\nGlobal=true\n")
    client.submit("gone", "none")
    placements = client.state().placements
    client.state(placements={**placements, "gone.service": Placement("gone.service", "f" * 32, "x")})
    assert client.rows("list-unit-files", "--fields=unit,target") == [
        ["glob.service", "global"],
        ["gone.service", "ffffffff..."],
        ["here.service", AT2],
        ["none.service", "-"],
    ]
    assert client.rows("list-unit-files", "--fields=target", "--full") == [
        ["global"],
        ["f" * 32],
        [f"{ID2}/{ADDRESSES['m2']}"],
        ["-"],
    ]


# ---------------------------------------------------------------- list-units


def test_systemds_words_for_a_unit_are_passed_through(client: Client) -> None:
    """F-057, F-048; a unit of which no machine says anything has no row."""
    client.write("foo", text="[Unit]\nDescription=some description\n")
    client.submit("bar")
    assert client.run("start", "foo").code == 0
    client.machines["m2"].set_state("foo.service", "activating", "start-pre")
    fields = "unit,load,active,sub,machine,hash"
    words = ["foo.service", "loaded", "activating", "start-pre"]
    assert client.cells("list-units", fields) == [*words, AT2, "a0f275d"]
    full = [f"{ID2}/{ADDRESSES['m2']}", "a0f275d46bc6ee0eca06be7c339913c07d99c0c7"]
    assert client.cells("list-units", fields, "--full") == [*words, *full]


def test_rows_are_sorted_by_unit_and_then_by_machine(client: Client) -> None:
    """F-185; F-119: what is taken off a machine has no row there any more, others keep theirs (F-179)."""
    client.write("b", "c")
    client.write("a", text=TEXT + "[X-Fleet]\nGlobal=true\n")
    assert client.run("start", "c", "b", "a").code == 0
    a, b, c = ["a.service", AT2], ["b.service", AT2], ["c.service", AT1]
    assert client.rows("list-units", "--fields=unit,machine") == [a, ["a.service", AT1], b, c]
    assert client.run("unload", "a", "c").code == 0
    assert client.rows("list-units", "--fields=unit,machine") == [b]


# ---------------------------------------------------------------- load, start, restart


def test_load_of_known_units_by_two_clients(client: Client) -> None:
    """F-058: existing units; F-079: their machines report them."""
    client.submit(*FIVE)
    assert client.both("load", "--no-block", *FIVE) == [0, 0]
    assert client.targets() == dict.fromkeys(FIVE, "loaded")
    assert client.rows("list-unit-files", "--fields=state") == [["loaded"]] * 5


def test_start_of_known_units(client: Client) -> None:
    """F-068: existing units."""
    client.submit(*FIVE)
    assert client.run("start", *FIVE).code == 0
    assert client.targets() == dict.fromkeys(FIVE, "launched")


@pytest.mark.parametrize("verb", ["load", "start", "restart"])
@pytest.mark.parametrize(
    ("units", "code"),
    [
        pytest.param((), 0, id="none"),
        pytest.param(("x",), 1, id="unknown"),
        pytest.param(("j1", "x", "j2"), 1, id="mixed"),
        pytest.param(("x@1", "x@2"), 1, id="instances-of-an-unknown-template"),
        pytest.param(("j1", "x@1"), 1, id="mixed-with-such-an-instance"),
    ],
)
def test_an_unknown_name_changes_no_target_state(
    client: Client, verb: str, units: tuple[str, ...], code: int
) -> None:
    """F-058, F-059 and F-068: none, unknown, mixed, and instances of an unknown template."""
    client.submit("j1", "j2")
    before = client.state()
    assert client.run(verb, *units).code == code
    assert client.state() == before


@pytest.mark.parametrize("verb", ["load", "start"])
@pytest.mark.parametrize(
    "units", [("foo@1", "foo@100", "foo@1000"), ("foo@1",) * 3], ids=["three-instances", "one-three-times"]
)
def test_instances_of_a_known_template(client: Client, verb: str, units: tuple[str, ...]) -> None:
    """F-068"""
    client.submit("foo@")
    assert client.run(verb, *units).code == 0
    state = {"load": "loaded", "start": "launched"}[verb]
    assert client.targets() == {"foo@": "inactive", **dict.fromkeys(units, state)}


@pytest.mark.parametrize(
    "units",
    [FIVE, ("foo@1", "foo@100", "foo@1000"), ("foo@1",) * 3],
    ids=["five", "three-instances", "one-three-times"],
)
def test_restart_of_units_that_run(client: Client, units: tuple[str, ...]) -> None:
    """F-059; instances have to be there, because restart makes none (fleet made them and started none)."""
    client.submit("foo@")
    client.submit(*FIVE)
    assert client.run("restart", "foo@1").code == 1
    assert client.run("start", *units).code == 0
    machines = client.machines.values()
    assert [name for machine in machines for name in machine.asked("restart")] == []
    assert client.run("restart", *units).code == 0
    restarted = sorted(name for machine in machines for name in machine.asked("restart"))
    assert restarted == sorted({f"{name}.service" for name in units})
    assert {client.targets()[name] for name in units} == {"launched"}


# ---------------------------------------------------------------- stop, unload


@pytest.mark.parametrize(("verb", "target"), [("stop", "loaded"), ("unload", "inactive")])
def test_two_clients_stop_or_unload_units(client: Client, verb: str, target: str) -> None:
    """F-069, F-071: existing units, two clients at once; F-080: stopped they are loaded again."""
    client.write(*FIVE)
    assert client.run("start", *FIVE).code == 0
    assert client.both(verb, *FIVE) == [0, 0]
    assert client.targets() == dict.fromkeys(FIVE, target)
    assert client.rows("list-unit-files", "--fields=state") == [[target]] * 5


@pytest.mark.parametrize(("verb", "target"), [("stop", "loaded"), ("unload", "inactive")])
@pytest.mark.parametrize("units", [("x", "y"), ("j1", "x")], ids=["unknown", "mixed"])
def test_stop_or_unload_with_an_unknown_name_changes_nothing(
    client: Client, verb: str, target: str, units: tuple[str, ...]
) -> None:
    """F-069, F-071: an error, where fleet passed over what it did not know; no units are no error."""
    client.write("j1")
    assert client.run("start", "j1").code == 0
    assert client.run(verb, *units).code == 1
    assert client.run(verb).code == 0
    assert client.targets() == {"j1": "launched"}
    assert client.run(verb, "j1").code == 0
    assert client.targets() == {"j1": target}


# ---------------------------------------------------------------- submit


@pytest.mark.parametrize(
    ("units", "code"),
    [
        pytest.param(FIVE, 0, id="a-existing"),
        pytest.param(("x", "y"), 1, id="b-unknown"),
        pytest.param(("j1", "x"), 1, id="c-mixed"),
        pytest.param(("j1",) * 3, 0, id="d-the-same-three-times"),
        pytest.param(("j1", "j1", "j1", "x"), 1, id="e-the-same-three-times-and-an-unknown"),
        pytest.param((), 0, id="f-none"),
        pytest.param(("x@1",), 1, id="g-instance-of-an-unknown-template"),
        pytest.param(("foo@1", "foo@2", "foo@3"), 0, id="h-three-instances"),
        pytest.param(("x@1", "x@2", "foo@1"), 1, id="i-unknown-template-first"),
        pytest.param(("foo@1",) * 3, 0, id="j-one-instance-three-times"),
        pytest.param(("foo@1", "foo@2", "x"), 1, id="k-unknown-last"),
    ],
)
def test_submit(client: Client, units: tuple[str, ...], code: int) -> None:
    """F-070, every row; one bad name and none is handed over (fleet kept those before it). F-176: listed."""
    client.submit("foo@", *FIVE)
    before = client.targets()
    assert client.run("submit", *units).code == code
    added = {} if code else dict.fromkeys(units, "inactive")
    assert client.targets() == before | added
    assert [name for (name,) in client.rows("list-unit-files", "--fields=unit")] == sorted(
        f"{name}.service" for name in before | added
    )


@pytest.mark.parametrize(
    "name", ["foo@{1,3}.service", "foo@{1..3}.service", "foo.{1-3}.service"], ids=["comma", "dots", "dash"]
)
def test_patterns_of_a_shell_are_no_names(client: Client, name: str) -> None:
    """F-052: names."""
    (client.folder / name).write_text(TEXT)
    ran = client.run("submit", name)
    assert (ran.code, ran.err.splitlines()[0]) == (
        1,
        "Error creating units: invalid character '{' in unit name",
    )
    assert client.targets() == {}


@pytest.mark.parametrize(
    ("fleet", "reason"),
    [
        pytest.param("", "unit has no options", id="no-unit"),
        pytest.param(
            "[X-Fleet]\nMachineOf=zxcvq.service\nConflicts=zxc*.service",
            "unresolvable requirements: MachineOf zxcvq.service matches Conflicts zxc*.service",
            id="peer-in-conflict",
        ),
        pytest.param(
            "[X-Fleet]\n  MachineOf=zxcvq.service\n  Conflicts=zxc*.service",
            "unresolvable requirements: MachineOf zxcvq.service matches Conflicts zxc*.service",
            id="indented",
        ),
        pytest.param(
            "[X-Fleet]\nGlobal=true\nMachineOf=bar.service",
            "Global cannot be used with Peers",
            id="global-with-peer",
        ),
        pytest.param(
            "[X-Fleet]\nMachineOf=zxcvq.service\nGlobal=true",
            "Global cannot be used with Peers",
            id="peer-with-global",
        ),
        pytest.param(
            "[X-Fleet]\nGlobal=true\nReplaces=bar.service",
            "Global cannot be used with Replaces",
            id="global-with-replaces",
        ),
        pytest.param(
            "[X-Fleet]\nConflicts=bar.service\nReplaces=bar.service",
            "Conflicts cannot be used with Replaces",
            id="conflicts-with-replaces",
        ),
        pytest.param(
            "[X-Fleet]\nMachineOf=abc.service\nReplaces=abc.service",
            "unresolvable requirements: MachineOf abc.service matches Replaces abc.service",
            id="peer-is-replaced",
        ),
    ],
)
def test_units_that_cannot_be_are_not_created(client: Client, fleet: str, reason: str) -> None:
    """F-052: what a unit says."""
    client.write("foo", text=fleet)
    ran = client.run("start", "foo")
    assert ran.code == 1
    assert ran.err.splitlines()[0].endswith(reason)
    assert client.targets() == {}


# ---------------------------------------------------------------- waiting

SLOW = """\
  list-units)
    echo >>/run/sim/looks
    [ "$(wc -l </run/sim/looks)" -gt "$(cat /run/sim/patience)" ] && put slow.service loaded active running
"""


@pytest.fixture
def slow(client: Client) -> Client:
    """slow.service is active only at the fourth look at its machine, or after as much patience as it has."""
    client.write("slow")
    for machine in client.machines.values():
        program = machine.root / "bin/systemctl"
        text = program.read_text().replace(
            'put "$name" loaded active running', 'put "$name" loaded activating start'
        )
        program.write_text(text.replace("  list-units)\n", SLOW))
        (machine.sim / "patience").write_text("3\n")
    return client


@pytest.mark.parametrize(
    "attempts", [[], ["--block-attempts=0"], ["--block-attempts=-1"], ["--block-attempts=9999"]]
)
def test_a_start_is_waited_for(slow: Client, attempts: list[str]) -> None:
    """F-051: 0 and less do not end the wait early; it has an end all the same, after two minutes."""
    ran = slow.run("start", "slow", *attempts)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, f"Unit slow.service launched on {AT2}")


@pytest.mark.parametrize("attempts", ["0", "-1", "9999"])
def test_whoever_does_not_want_to_wait_does_not(slow: Client, attempts: str) -> None:
    """F-051"""
    (slow.machines["m2"].sim / "patience").write_text("1000000\n")
    ran = slow.run("start", "slow", "--no-block", f"--block-attempts={attempts}")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "Triggered unit slow.service start")


def test_a_wait_ends_with_its_attempts(slow: Client) -> None:
    """F-051: attempts last two seconds each, as in fleet."""
    (slow.machines["m2"].sim / "patience").write_text("1000000\n")
    ran = slow.run("start", "slow", "--block-attempts=1")
    assert ran.code == 3
    assert "Unit slow.service is still starting" in ran.err


def test_pauses_between_looks_double_up_to_the_longest(slow: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-207"""
    (slow.machines["m2"].sim / "patience").write_text("1000000\n")
    pauses: list[float] = []
    monkeypatch.setattr(clock, "sleep", pauses.append)
    monkeypatch.setattr(clock, "monotonic", lambda: sum(pauses))
    assert slow.run("start", "slow", "--block-attempts=10").code == 3
    assert pauses[0] < pauses[-1] == LONGEST_PAUSE_SECONDS
    assert pauses[1:] == [min(2 * pause, LONGEST_PAUSE_SECONDS) for pause in pauses[:-1]]
    assert sum(pauses) <= 20


# ---------------------------------------------------------------- ssh


@pytest.fixture
def j1(client: Client) -> Client:
    """j1.service is on m2, and a unit called like the id of m1 is there, too."""
    client.write("j1", ID1)
    assert client.run("start", "j1", ID1).code == 0
    assert {p.machine for p in client.state().placements.values()} == {ID1, ID2}
    return client


@pytest.mark.parametrize(
    ("words", "machine_id"),
    [
        pytest.param((f"--machine={ID1}",), ID1, id="F-061"),
        pytest.param(("--unit=j1",), "j1", id="F-063"),
        pytest.param((ID2,), ID2, id="F-065"),
        pytest.param(("j1",), "j1", id="F-066"),
    ],
)
def test_a_command_runs_on_the_machine_that_was_meant(
    j1: Client, words: tuple[str, ...], machine_id: str
) -> None:
    """F-061, F-063, F-065, F-066"""
    if machine_id == "j1":
        machine_id = j1.state().placements["j1.service"].machine
    ran = j1.run("ssh", *words, "cat", "/etc/machine-id")
    assert (ran.code, ran.out) == (0, f"{machine_id}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("--machine=asdf",), "Unable to proceed: machine does not exist", id="F-060"),
        pytest.param(("--unit=asdf",), "Unable to proceed: unit does not exist", id="F-062"),
        pytest.param(("asdf",), "Unable to proceed: could not find matching unit or machine", id="F-064"),
        pytest.param(
            (ID1,),
            f"Unable to proceed: ambiguous argument, both machine and unit found for `{ID1}`",
            id="F-067",
        ),
    ],
)
def test_a_machine_that_cannot_be_meant(j1: Client, words: tuple[str, ...], message: str) -> None:
    """F-060, F-062, F-064, F-067"""
    ran = j1.run("ssh", *words, "true")
    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (1, "", message)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("echo", "hello"), "hello"),
        (("--", "echo", "-n", "hello"), "hello"),
        (("--", "echo", "hello", "--", "-n"), "hello -- -n"),
    ],
)
def test_flags_of_a_command_stand_after_dashes(client: Client, words: tuple[str, ...], said: str) -> None:
    """F-206: the first two dashes are ours, later ones belong to the command."""
    ran = client.run("ssh", "m1", *words)
    assert (ran.code, ran.out.rstrip("\n")) == (0, said)


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "is_found"),
    [("~/home.yml", True), ("~~", False), ("~~/home.yml", False), ("~nobody-at-all/x", False)],
)
@pytest.mark.parametrize("flag", ["--inventory", "--known-hosts-file"])
def test_a_tilde_is_the_home_folder_and_two_are_only_a_name(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str, is_found: bool, flag: str
) -> None:
    """F-208"""
    monkeypatch.setenv("HOME", str(client.folder))
    write_inventory(client.folder / "home.yml")
    ran = client.run("list-machines", flag, path)
    assert ran.code == (0 if is_found or flag == "--known-hosts-file" else 1)
    assert "internal error" not in ran.err
