"""Whose visits a machine obeys, until when a visit is valid, and what one machine meets at another's port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from fleetssh.core.model import Claim, MachinePlan
from fleetssh.core.sighting import Failure, Manifest, Opinion, Reached
from fleetssh.core.visit import Order, Probe, Visit
from fleetssh.wire.reply import read_reply
from fleetssh.wire.script import write_visit
from tests.wire.machine import Machine
from tests.wire.visits import BOOT, CLUSTER, LOADED, MARK, WHO, act, holding, install, look, plan, want

A, B = want("a.service"), want("b.service")
STOP = plan([A], stop=["a.service"])
NEWER = Claim(CLUSTER, 7, "ops@other")
OLDER = Claim(CLUSTER, 3, WHO)
TWIN = Claim(CLUSTER, 7, WHO)


def failures(seen: Reached) -> str:
    return "\n".join(outcome.message for outcome in seen.outcomes if not outcome.ok)


def uptime(machine: Machine) -> float:
    return machine.reached(look()).facts.uptime


# ---------------------------------------------------------------- fences


def test_a_look_of_a_pass_is_remembered_and_a_plain_one_is_not(machine: Machine) -> None:
    machine.reached(look())
    assert not machine.units.parent.exists()
    assert machine.reached(look(claim=OLDER)).holder == OLDER
    assert machine.reached(look(claim=NEWER)).holder == NEWER
    assert machine.reached(look()).holder == NEWER


@pytest.mark.parametrize("worse", [OLDER, TWIN], ids=["smaller", "equal_of_another"])
def test_a_worse_claim_does_nothing_and_hears_whose_the_machine_is(machine: Machine, worse: Claim) -> None:
    left = machine.reached(act(install(A), claim=NEWER)).manifest
    machine.set_state("a.service", "active", "running")
    assert machine.reached(look(claim=worse)).holder == NEWER
    seen = machine.reached(act(STOP, left, claim=worse))
    assert failures(seen) == (f"{Failure.FENCED}: ops@other holds it (fence 7, this is {worse.fence})")
    assert machine.calls("stop") == []
    assert seen.holder == NEWER
    assert seen.manifest == left


def test_an_act_needs_no_look_before_it_to_be_remembered(machine: Machine) -> None:
    left = machine.reached(act(install(A), claim=OLDER)).manifest
    seen = machine.reached(act(STOP, left, claim=NEWER))
    assert failures(seen) == ""
    assert (seen.holder, seen.manifest.fence) == (NEWER, 7)
    assert machine.asked("stop") == ["a.service"]


def test_a_machine_that_holds_nothing_still_knows_whom_it_obeys(machine: Machine) -> None:
    left = machine.reached(act(install(A), claim=NEWER)).manifest
    gone = machine.reached(act(plan([], stop=["a.service"], remove=["a.service"]), left, claim=NEWER))
    assert gone.manifest == Manifest()
    assert "holds it" in failures(machine.reached(act(install(B), claim=OLDER)))


def test_units_of_another_cluster_are_taken_over_only_on_purpose(machine: Machine) -> None:
    left = machine.reached(act(install(A), claim=NEWER)).manifest
    other = Claim("another", 1, WHO)
    assert machine.reached(look(claim=other)).holder == NEWER
    assert str(Failure.FOREIGN) in failures(machine.reached(act(STOP, left, claim=other)))

    adopting = Claim("another", 1, WHO, over=CLUSTER)
    order = Order(MachinePlan("h1", "m1", ()), left)
    visit = Visit(BOOT, adopting, 1e9, order=order)
    seen = machine.reached(write_visit(MARK, visit, become=False))
    assert failures(seen) == ""
    assert seen.holder == other
    assert (seen.manifest.cluster, seen.manifest.entries) == ("another", left.entries)
    assert machine.calls("stop") == []
    assert str(Failure.FOREIGN) in failures(machine.reached(act(STOP, seen.manifest, claim=NEWER)))


def test_a_cluster_that_has_nothing_there_gives_way_whatever_its_fence(machine: Machine) -> None:
    machine.reached(look(claim=NEWER))
    other = Claim("another", 1, WHO)
    assert machine.reached(look(claim=other)).holder == other


def test_a_damaged_line_about_the_holder_is_none(machine: Machine) -> None:
    for text in ("", "\n", "garbage", f"{CLUSTER} many ops@desk\n"):
        (machine.units.parent).mkdir(exist_ok=True)
        (machine.units.parent / "holder").write_text(text)
        assert machine.reached(look()).holder is None
        assert machine.reached(look(claim=OLDER)).holder == OLDER


# ---------------------------------------------------------------- late visits


def test_a_late_visit_looks_and_does_nothing(machine: Machine) -> None:
    left = machine.reached(act(install(A))).manifest
    before = uptime(machine) - 2
    late = machine.reached(look(claim=TWIN, valid_until=before))
    assert late.is_late
    assert not machine.reached(look(claim=TWIN)).is_late
    assert not machine.reached(look()).is_late
    seen = machine.reached(act(STOP, left, claim=TWIN, valid_until=before))
    assert "on its way for too long" in failures(seen)
    assert machine.calls("stop") == []
    assert seen.manifest == holding(A)


def test_a_visit_for_another_boot_is_late(machine: Machine) -> None:
    left = machine.reached(act(install(A))).manifest
    other = "22c2a423-8f1b-4dfb-8e2c-b125e72b1855"
    assert machine.reached(look(known_boot=other, claim=TWIN)).is_late
    visit = Visit(other, TWIN, 1e9, order=Order(STOP, left))
    assert "on its way for too long" in failures(machine.reached(write_visit(MARK, visit, become=False)))
    assert machine.calls("stop") == []


def test_an_act_is_for_the_last_look_of_a_pass(machine: Machine) -> None:
    """What lay on its way while another pass looked was decided on what may not be so any more."""
    claim = Claim(CLUSTER, 0, WHO)
    left = machine.reached(act(install(A))).manifest
    old = machine.reached(look(claim=claim))
    machine.reached(look())
    newer = write_visit("f" * 24, Visit(BOOT, claim, 1e9), become=False)
    machine.reached(newer)
    stale = Visit(BOOT, claim, 1e9, order=Order(STOP, left, look=old.mark))
    assert "since it was looked at" in failures(machine.reached(write_visit("e" * 24, stale, become=False)))
    assert machine.calls("stop") == []
    fresh = Visit(BOOT, claim, 1e9, order=Order(STOP, left, look="e" * 24))
    assert failures(machine.reached(write_visit("d" * 24, fresh, become=False))) == ""
    assert machine.asked("stop") == ["a.service"]


# ---------------------------------------------------------------- second opinions


@contextmanager
def port(*said: bytes) -> Iterator[int]:
    """A port on this computer at which somebody says something to who connects, and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as peers:

        def answer() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                peers.enter_context(peer)
                for text in said:
                    peer.sendall(text)

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_what_a_machine_meets_at_the_ports_of_others(machine: Machine) -> None:
    with port(b"SSH-2.0-OpenSSH_9.2\r\n") as well, port() as silent, port(b"220 mail\r\n") as strange:
        with port() as closed:
            pass
        ports = {"well": well, "silent": silent, "strange": strange, "closed": closed}
        probes = tuple(Probe(name, "127.0.0.1", number) for name, number in ports.items())
        seen = machine.reached(look(claim=TWIN, probes=probes))
    assert seen.opinions == {
        "well": Opinion.HELLO,
        "silent": Opinion.CONNECTED,
        "strange": Opinion.CONNECTED,
        "closed": Opinion.NOTHING,
    }


def test_a_machine_without_means_to_try_says_so(machine: Machine) -> None:
    """Every computer on which these tests run has bash: what is said without it is put in its place."""
    ran = machine.run(look(claim=TWIN, probes=(Probe("h2", "127.0.0.1", 1),)))
    blind = ran.out.replace(b"h2 asked\n", b"h2 asked\n- none\n")
    seen = read_reply("h1", "10.1.1.1", MARK, blind, 0.0)
    assert isinstance(seen, Reached)
    assert seen.opinions == {"h2": Opinion.UNKNOWN}


# ---------------------------------------------------------------- what changes between a look and an act


def test_a_unit_that_came_to_life_since_the_look_is_stopped_before_it_goes(machine: Machine) -> None:
    """Its timer fired while other machines were waited for."""
    idle = want("job.service", LOADED)
    left = machine.reached(act(install(idle))).manifest
    machine.set_state("job.service", "active", "running")
    seen = machine.reached(act(plan([], remove=["job.service"], reload=[""]), left))
    assert machine.asked("stop") == ["job.service"]
    assert machine.state("job.service") == "loaded inactive dead"
    assert seen.manifest == Manifest()


def test_a_unit_that_came_to_life_and_does_not_stop_stays_ours(machine: Machine) -> None:
    idle = want("job.service", LOADED)
    left = machine.reached(act(install(idle))).manifest
    machine.set_state("job.service", "active", "running")
    (machine.sim / "stubborn").write_text("job.service\n")
    seen = machine.reached(act(plan([], remove=["job.service"], reload=[""]), left))
    assert (machine.units / "job.service").exists()
    assert seen.manifest == left
    assert "still active" in failures(seen)
