"""Whole visits by real shells: what they change on a machine, and what they must leave alone."""

from __future__ import annotations

import fcntl
import shlex
from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetssh.core.model import Action, TargetState
from fleetssh.core.sighting import Detail, Ending, Failure, Manifest, Outcome, Reached, Unreached
from fleetssh.wire.reply import parse_manifest, read_reply
from fleetssh.wire.script import UNWRITTEN, format_manifest
from tests.wire.machine import MACHINE_ID, Machine
from tests.wire.visits import CLUSTER, LOADED, MARK, TEXT, act, holding, install, look, plan, want

A, B = want("a.service"), want("b.service", LOADED)
NEW_TEXT = TEXT + b"# changed\n"


def outcomes(seen: Reached, *, ok: bool) -> list[tuple[Action, str]]:
    return [(outcome.action, outcome.message) for outcome in seen.outcomes if outcome.ok is ok]


def failures(seen: Reached) -> str:
    return "\n".join(message for _, message in outcomes(seen, ok=False))


# ---------------------------------------------------------------- looking


def test_a_look_tells_the_facts_and_changes_nothing(machine: Machine) -> None:
    """F-196: the machine id is what /etc/machine-id holds."""
    before = machine.tree()
    seen = machine.reached(look())
    (machine.sim / "calls").unlink()
    (machine.sim / "units").rmdir()
    assert machine.tree() == before
    facts = seen.facts
    assert (facts.machine_id, facts.os, facts.os_version) == (MACHINE_ID, "debian", "12")
    assert (facts.systemd_version, facts.architecture) == ("252", "x86-64")
    assert facts.metadata == {"disk": "ssd", "region": "eu"}
    assert facts.memory_total > 0
    assert facts.cpus > 0
    assert facts.boot_id
    assert seen.manifest == Manifest()
    assert seen.found == ()


def test_a_machine_whose_boot_is_known_says_only_what_may_have_changed(machine: Machine) -> None:
    whole = machine.reached(look())
    again = machine.reached(look(known_boot=whole.facts.boot_id))
    assert again.facts.is_brief
    assert not whole.facts.is_brief
    assert (again.facts.boot_id, again.facts.metadata) == (whole.facts.boot_id, whole.facts.metadata)
    assert not machine.reached(look(known_boot="22c2a423-8f1b-4dfb-8e2c-b125e72b1855")).facts.is_brief


def test_a_look_finds_what_an_act_left(machine: Machine) -> None:
    left = machine.reached(act(install(A, B)))
    assert replace(machine.reached(look()), facts=left.facts) == replace(left, outcomes=())


def test_a_machine_without_systemd_is_said_to_be_one(machine: Machine) -> None:
    for path in (machine.links, machine.links.parent):
        path.rmdir()
    sighting = machine.visit(look())
    assert isinstance(sighting, Unreached)
    assert sighting.failure is Failure.NO_SYSTEMD


def test_a_machine_id_that_is_not_chosen_yet_is_none(machine: Machine) -> None:
    (machine.root / "etc/machine-id").write_text("uninitialized\n")
    sighting = machine.visit(look())
    assert isinstance(sighting, Unreached)
    assert sighting.failure is Failure.NO_SYSTEMD


def test_a_systemd_that_does_not_answer_is_not_taken_for_one_that_runs_nothing(machine: Machine) -> None:
    machine.reached(act(install(A)))
    (machine.sim / "mute").touch()
    sighting = machine.visit(look())
    assert isinstance(sighting, Unreached)
    assert sighting.failure is Failure.HALF


def test_what_happened_to_units_by_hand_is_seen(machine: Machine) -> None:
    names = ["changed", "deleted", "unlinked", "relinked", "well"]
    machine.reached(act(install(*(want(f"{name}.service") for name in names))))
    (machine.units / "changed.service").write_bytes(NEW_TEXT)
    (machine.units / "deleted.service").unlink()
    (machine.links / "unlinked.service").unlink()
    (machine.links / "relinked.service").unlink()
    (machine.links / "relinked.service").symlink_to("/run/fleet/units/well.service")
    found = {item.entry.name.removesuffix(".service"): item for item in machine.reached(look()).found}
    assert found["changed"].digest == want("x", text=NEW_TEXT).unit.digest
    assert found["deleted"].digest is None
    assert {name for name, item in found.items() if not item.linked} == {"deleted", "unlinked", "relinked"}


def test_endings_are_read_from_the_job_records_of_idle_units_alone(machine: Machine) -> None:
    names = ["done", "stopped", "silent", "refused", "running"]
    machine.reached(act(install(*(want(f"{name}.service") for name in names))))
    for name in names[:-1]:
        machine.set_state(f"{name}.service", "inactive", "dead")
    (machine.sim / "jobs").write_text(
        '{"UNIT":"done.service","JOB_TYPE":"start","JOB_RESULT":"done"}\n'
        '{"UNIT":"stopped.service","JOB_TYPE":"start","JOB_RESULT":"done"}\n'
        '{"UNIT":"stopped.service","JOB_TYPE":"stop","JOB_RESULT":"done"}\n'
        '{"UNIT":"refused.service","JOB_TYPE":"start","JOB_RESULT":"dependency"}\n'
    )
    found = {item.entry.name.removesuffix(".service"): item.ending for item in machine.reached(look()).found}
    assert found == {
        "done": Ending.BY_ITSELF,
        "stopped": Ending.BY_REQUEST,
        "silent": Ending.NEVER_STARTED,
        "refused": Ending.START_FAILED,
        "running": None,
    }
    (asked,) = [line for line in (machine.sim / "calls").read_text().splitlines() if " json " in line]
    assert "UNIT=done.service" in asked
    assert "UNIT=running.service" not in asked


def test_details_are_asked_for_what_failed_and_what_restarts_in_a_loop(machine: Machine) -> None:
    machine.reached(act(install(A, want("loop.service"), want("well.service"))))
    (machine.sim / "log").mkdir()
    (machine.sim / "log/a.service").write_text("FLEETSSH 000000 end\nlast words\n")
    machine.set_state("a.service", "failed", "failed")
    machine.set_state("loop.service", "activating", "auto-restart")
    machine.set_state("strangers-own.service", "failed", "failed")
    found = {item.entry.name: item.detail for item in machine.reached(look()).found}
    assert found == {
        "a.service": Detail("exit-code", "", 203, log=("FLEETSSH 000000 end", "last words")),
        "loop.service": Detail("exit-code", "", 203),
        "well.service": None,
    }


# ---------------------------------------------------------------- acting


def test_new_units_are_written_linked_noted_and_started(machine: Machine) -> None:
    seen = machine.reached(act(install(A, B)))
    assert machine.files() == {"a.service": TEXT, "b.service": TEXT}
    assert str((machine.links / "a.service").readlink()) == "/run/fleet/units/a.service"
    assert machine.manifest.read_text() == format_manifest(holding(A, B))
    assert seen.manifest == holding(A, B)
    assert machine.asked("start") == ["a.service"]
    assert [(f.entry.name, f.active, f.linked) for f in seen.found] == [
        ("a.service", "active", True),
        ("b.service", "inactive", True),
    ]
    assert failures(seen) == ""
    assert not (machine.root / "run/fleet/stage").exists()


def test_steps_are_carried_out_in_fleets_order(machine: Machine) -> None:
    units = [want(f"{letter}.service") for letter in "abcde"]
    left = machine.reached(act(install(*units)))
    (machine.sim / "calls").unlink()
    changed = want("b.service", text=NEW_TEXT, installs=True)
    steps = plan(
        [changed, units[2], units[3], want("f.service")],
        stop=["a.service", "b.service"],
        remove=["a.service"],
        write=["b.service", "f.service"],
        link=["d.service"],
        reload=[""],
        restart=["c.service"],
        start=["b.service", "f.service"],
    )
    machine.reached(act(steps, left.manifest))
    calls = [line.split(" -- ") for line in (machine.sim / "calls").read_text().splitlines()]
    named = ["stop", "is-active", "disable", "reset-failed", "enable", "daemon-reload", "restart", "start"]
    acted = [(word, *rest) for line, *rest in calls for word in named if word in line.split()]
    assert acted == [
        ("stop", "a.service b.service"),
        ("is-active", "a.service b.service"),
        ("is-active", "a.service"),
        ("disable", "a.service"),
        ("reset-failed", "a.service"),
        ("enable", "b.service"),
        ("daemon-reload",),
        ("reset-failed", "c.service"),
        ("restart", "c.service"),
        ("reset-failed", "b.service f.service"),
        ("start", "b.service f.service"),
    ]
    assert sorted(machine.files()) == [f"{letter}.service" for letter in "bcdef"]
    assert not (machine.links / "a.service").is_symlink()


def test_a_start_that_is_not_waited_for_is_sent_without_a_limit(machine: Machine) -> None:
    machine.reached(act(install(A), wait_seconds=0))
    assert [line.split(" -- ")[0] for line in machine.calls("start")] == [
        "--no-block --no-ask-password start"
    ]


def test_a_failed_start_is_told_with_its_last_words(machine: Machine) -> None:
    (machine.sim / "broken").write_text("a.service\n")
    (machine.sim / "log").mkdir()
    (machine.sim / "log/a.service").write_text("no such program\n")
    seen = machine.reached(act(install(A)))
    assert [action for action, _ in outcomes(seen, ok=False)] == [Action.START]
    assert "Job failed" in failures(seen)
    assert [(f.active, f.detail) for f in seen.found] == [
        ("failed", Detail("exit-code", "", 203, log=("no such program",)))
    ]


def test_a_unit_that_ends_at_once_is_described_too(machine: Machine) -> None:
    # Inactive and not failed: only what was started just now tells that somebody asks about it.
    text = (machine.root / "bin/systemctl").read_text()
    quick = text.replace("loaded active running", "loaded inactive dead")
    (machine.root / "bin/systemctl").write_text(quick)
    seen = machine.reached(act(install(A)))
    assert seen.found[0].detail is not None


def test_removing_everything_leaves_nothing(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    names = ["a.service", "b.service"]
    seen = machine.reached(act(plan([], stop=["a.service"], remove=names, reload=[""]), holding(A, B)))
    assert machine.files() == {}
    assert list(machine.links.iterdir()) == []
    assert seen.manifest == Manifest()
    assert not machine.manifest.exists()


def test_doing_it_twice_changes_nothing_more(machine: Machine) -> None:
    steps = install(A, B)
    first = machine.reached(act(steps))
    files = (machine.files(), machine.manifest.read_text())
    second = machine.reached(act(steps, first.manifest))
    assert (machine.files(), machine.manifest.read_text()) == files
    assert second.found == first.found


def test_sudo_is_asked_without_a_terminal() -> None:
    assert look(become=True).command.startswith("sudo -n -- /bin/sh -c ")
    assert not look().command.startswith("sudo")


# ---------------------------------------------------------------- the manifest before and after


def test_a_unit_is_noted_as_loaded_until_its_start_was_asked_for(machine: Machine) -> None:
    machine.reached(act(install(A)))
    noted = format_manifest(holding(replace(A, target=LOADED)))
    assert machine.manifest_at("start") == noted.replace(A.unit.digest, UNWRITTEN)
    assert machine.manifest.read_text() == format_manifest(holding(A))


def test_a_unit_that_has_to_be_stopped_is_noted_as_launched_until_it_is(machine: Machine) -> None:
    machine.reached(act(install(A)))
    changed = want("a.service", LOADED, NEW_TEXT)
    machine.reached(act(plan([changed], stop=["a.service"], write=["a.service"], reload=[""]), holding(A)))
    assert machine.manifest_at("stop") == format_manifest(holding(A))
    assert machine.manifest.read_text() == format_manifest(holding(changed))


def test_a_unit_to_be_removed_is_noted_until_it_is(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    machine.reached(act(plan([], stop=["a.service"], remove=["a.service"], reload=[""]), holding(A, B)))
    assert "a.service" in machine.manifest_at("daemon-reload")
    assert machine.manifest.read_text() == format_manifest(holding(B))


def test_a_note_changes_the_manifest_alone(machine: Machine) -> None:
    machine.reached(act(install(A)))
    files = machine.files()
    (machine.sim / "calls").unlink()
    later = replace(A, generation=7)
    seen = machine.reached(act(plan([later], note=["a.service"]), holding(A)))
    assert seen.manifest == holding(later)
    assert machine.files() == files
    assert not any(machine.calls(verb) for verb in ("start", "stop", "restart", "daemon-reload"))


def test_a_written_manifest_reads_as_it_was_meant() -> None:
    manifest = Manifest(
        "c1", 12, holding(want(r"a\x2d@b.service", generation=3), want("b.socket", LOADED)).entries
    )
    assert parse_manifest(tuple(format_manifest(manifest).split("\n"))) == manifest
    assert format_manifest(Manifest("c1", 12)) == ""


# ---------------------------------------------------------------- a machine's own units (rule 6)


def test_a_name_that_the_machine_has_for_itself_is_never_touched(machine: Machine) -> None:
    own = {
        "file.service": machine.own / "file.service",
        "masked.service": machine.own / "masked.service",
        "dangling.service": machine.own / "dangling.service",
        "runtime.service": machine.links / "runtime.service",
        "made.service": machine.root / "run/systemd/generator.late/made.service",
    }
    own["made.service"].parent.mkdir()
    for name in ("file.service", "runtime.service", "made.service"):
        own[name].write_text("[Service]\nExecStart=/bin/own\n")
    own["masked.service"].symlink_to("/dev/null")
    own["dangling.service"].symlink_to("/nowhere")
    units = [want(name, installs=True) for name in own]
    seen = machine.reached(act(install(*units, A)))
    assert machine.files() == {"a.service": TEXT}
    assert [found.entry.name for found in seen.found] == ["a.service"]
    assert sorted(seen.occupied) == sorted(own)
    assert seen.strangers == ()
    assert seen.occupied["file.service"] == "/etc/systemd/system/file.service"
    for verb in ("start", "enable"):
        assert set(machine.asked(verb)) <= {"a.service"}
    told = {outcome.unit for outcome in seen.outcomes if not outcome.ok}
    assert told == set(own)
    assert own["runtime.service"].read_text().endswith("/bin/own\n")


def test_a_name_taken_over_by_the_machine_is_neither_stopped_nor_removed(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    (machine.sim / "calls").unlink()
    (machine.own / "a.service").write_text("[Service]\nExecStart=/bin/own\n")
    steps = plan([], stop=["a.service"], remove=["a.service", "b.service"], reload=[""])
    seen = machine.reached(act(steps, holding(A, B)))
    assert machine.state("a.service") == "loaded active running"
    assert "a.service" not in machine.asked("stop") + machine.asked("disable") + machine.asked("reset-failed")
    assert (machine.own / "a.service").exists()
    assert [found.entry.name for found in seen.found] == []
    assert seen.strangers == ("a.service",)


def test_a_name_that_is_free_again_is_not_occupied_any_more(machine: Machine) -> None:
    (machine.own / "a.service").write_text("[Service]\nExecStart=/bin/own\n")
    left = machine.reached(act(install(A)))
    assert left.manifest.entries[0].target is TargetState.INACTIVE
    (machine.own / "a.service").unlink()
    assert machine.reached(look()).occupied == {}
    assert machine.reached(act(install(A), left.manifest)).manifest == holding(A)


def test_strangers_in_our_folder_are_told_and_stay(machine: Machine) -> None:
    machine.reached(act(install(A)))
    (machine.units / "stranger.service").write_bytes(b"theirs")
    (machine.units / "a.service.d").mkdir()
    (machine.units / "a.service.d/more.conf").write_text("[Service]\n")
    seen = machine.reached(act(plan([], stop=["a.service"], remove=["a.service"], reload=[""]), holding(A)))
    assert seen.strangers == ("stranger.service",)
    assert (machine.units / "stranger.service").read_bytes() == b"theirs"
    assert (machine.units / "a.service.d/more.conf").exists()


# ---------------------------------------------------------------- refusals


def test_a_machine_of_another_cluster_is_left_alone(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    before = (machine.files(), machine.manifest.read_text(), machine.state("a.service"))
    steps = plan([], stop=["a.service"], remove=["a.service", "b.service"], reload=[""])
    seen = machine.reached(act(steps, holding(A, B), cluster="other"))
    assert (machine.files(), machine.manifest.read_text(), machine.state("a.service")) == before
    assert outcomes(seen, ok=False) == [
        (Action.NOTE, f"{Failure.FOREIGN}: it runs units of cluster {CLUSTER}")
    ]
    assert machine.calls("stop") == []


def test_a_machine_that_holds_nothing_of_its_old_cluster_may_be_taken(machine: Machine) -> None:
    (machine.own / "a.service").write_text("[Service]\nExecStart=/bin/own\n")
    left = machine.reached(act(install(A), cluster="old")).manifest
    assert "inactive 0" in machine.manifest.read_text()
    assert machine.reached(act(install(B), left, cluster="new")).manifest.cluster == "new"


def test_what_was_planned_for_another_manifest_is_not_done(machine: Machine) -> None:
    machine.reached(act(install(A)))
    before = machine.files()
    seen = machine.reached(act(install(B)))
    assert [(o.action, o.ok) for o in seen.outcomes] == [(Action.NOTE, False)]
    assert "booted anew since" in seen.outcomes[0].message
    assert seen.manifest == holding(A)
    assert machine.files() == before


def test_a_visit_that_finds_another_one_at_work_changes_nothing(machine: Machine) -> None:
    machine.reached(act(install(A)))
    visit = act(plan([], stop=["a.service"], remove=["a.service"], reload=[""]), holding(A))
    impatient = replace(visit, program=visit.program.replace(b"flock -w 40 ", b"flock -w 0.1 "))
    assert impatient != visit
    with (machine.root / "run/fleet/lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        seen = machine.reached(impatient)
    assert failures(seen).startswith(str(Failure.BUSY))
    assert machine.state("a.service") == "loaded active running"
    assert "a.service" in machine.files()


def test_a_unit_that_does_not_stop_keeps_its_file_and_its_place(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    (machine.sim / "stubborn").write_text("a.service\n")
    steps = plan([], stop=["a.service"], remove=["a.service"], reload=[""])
    seen = machine.reached(act(steps, holding(A, B)))
    assert sorted(machine.files()) == ["a.service", "b.service"]
    assert set(seen.manifest.entries) == set(holding(A, B).entries)
    (failed,) = [outcome for outcome in seen.outcomes if outcome.unit]
    assert (failed.action, failed.unit, failed.ok) == (Action.STOP, "a.service", False)
    assert "still active" in failed.message


def test_a_unit_that_does_not_stop_keeps_nothing_else_from_being_done(machine: Machine) -> None:
    c, changed = want("c.service"), want("a.service", text=NEW_TEXT)
    machine.reached(act(install(A, B)))
    (machine.sim / "stubborn").write_text("a.service\n")
    steps = plan(
        [changed, c],
        stop=["a.service", "b.service"],
        remove=["b.service"],
        write=["a.service", "c.service"],
        reload=[""],
        start=["a.service", "c.service"],
    )
    seen = machine.reached(act(steps, holding(A, B)))
    assert machine.files() == {"a.service": TEXT, "c.service": TEXT}
    assert set(seen.manifest.entries) == set(holding(A, c).entries)
    calls = (machine.sim / "calls").read_text()
    assert "start -- c.service" in calls.replace("  ", " ")


C, Q = "c.service", "q.service"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Conflicts=c.service", {C}),
        ("X-Conflicts = other.service c*", {C}),
        ("Conflicts=%p-x.service", {C, Q}),
        ("Conflicts=x.service\r", {C, Q}),
        ("Conflicts=b.service [de].service", set()),
        ("MachineOf=c.service", set()),
    ],
)
def test_what_the_old_text_of_a_unit_that_does_not_stop_conflicts_with_is_not_started_beside_it(
    machine: Machine, line: str, kept: set[str]
) -> None:
    """Its new text says nothing of it, or it was destroyed: only the machine still knows."""
    old = want("a.service", text=f"{TEXT.decode()}[X-Fleet]\n{line}".encode())
    new, others = want("a.service", text=NEW_TEXT), {name: want(name) for name in (C, Q)}
    machine.reached(act(install(old)))
    (machine.sim / "stubborn").write_text("a.service\n")
    names = ["a.service", C, Q]
    steps = plan([new, *others.values()], stop=["a.service"], write=names, reload=[""], start=names)
    seen = machine.reached(act(steps, holding(old)))
    rest = [wanted for name, wanted in others.items() if name not in kept]
    assert machine.files().keys() == {"a.service", *others} - kept
    assert set(seen.manifest.entries) == set(holding(old, *rest).entries)
    told = {(o.action, o.unit) for o in seen.outcomes if o.unit}
    assert told == {(Action.STOP, "a.service"), *((Action.START, name) for name in kept)}
    (machine.sim / "stubborn").unlink()
    later = machine.reached(act(steps, seen.manifest))
    assert machine.files().keys() == set(names)
    assert failures(later) == ""


def test_the_last_unit_that_does_not_stop_keeps_the_manifest(machine: Machine) -> None:
    machine.reached(act(install(A)))
    (machine.sim / "stubborn").write_text("a.service\n")
    steps = plan([], stop=["a.service"], remove=["a.service"], reload=[""])
    assert machine.reached(act(steps, holding(A))).manifest == holding(A)


def test_a_stop_that_systemd_does_not_confirm_was_none(machine: Machine) -> None:
    machine.reached(act(install(A)))
    (machine.sim / "mute").touch()
    machine.visit(act(plan([], stop=["a.service"], remove=["a.service"], reload=[""]), holding(A)))
    assert machine.files() == {"a.service": TEXT}
    assert machine.manifest.read_text() == format_manifest(holding(A))


def test_what_a_dead_visit_staged_is_never_installed(machine: Machine) -> None:
    stage = machine.root / "run/fleet/stage"
    stage.mkdir(parents=True)
    (stage / "dead.service").write_text("half")
    (stage / "a.service").write_text("half")
    machine.reached(act(install(A)))
    assert machine.files() == {"a.service": TEXT}
    assert not stage.exists()


# ---------------------------------------------------------------- no room, no writing

READ_ONLY = "mount --bind /run/fleet /run/fleet && mount -o remount,bind,ro /run/fleet || exit 99"
SMALL = """
mount --bind /run/fleet /mnt && mount -t tmpfs -o size=24k,mode=0755 none /run/fleet || exit 99
cp -a /mnt/. /run/fleet/
"""
LIST = "cd /run/fleet && find . -type f ! -name lock -exec sha1sum {} + | sort -k2 >&2"


def visit_and_list(machine: Machine, visit: object) -> tuple[Reached, list[str]]:
    """Carries a visit; what it left below /run/fleet, seen from inside the namespace."""
    command = f"{{ {visit.command}; {LIST}; }}"  # type: ignore[attr-defined]
    ran = machine.enter(f"/usr/bin/bash -c {shlex.quote(command)}", visit.program)  # type: ignore[attr-defined]
    seen = read_reply("h1", "10.1.1.1", MARK, ran.out, 0.0)
    assert isinstance(seen, Reached), seen
    return seen, ran.err.decode().splitlines()


def listing(machine: Machine) -> list[str]:
    return machine.enter(f"/usr/bin/bash -c {shlex.quote(LIST)}").err.decode().splitlines()


CHANGES = plan(
    [want("a.service", text=NEW_TEXT), want("big.service", text=b"[Service]\nA=" + b"x" * 100_000)],
    stop=["a.service"],
    write=["a.service", "big.service"],
    reload=[""],
    start=["a.service", "big.service"],
)


def test_a_full_disk_is_told_and_stops_nothing(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    before = listing(machine)
    assert len(before) >= 3
    machine.extra = SMALL
    seen, after = visit_and_list(machine, act(CHANGES, holding(A, B)))
    assert after == before
    assert failures(seen).startswith(f"{Failure.DISK_FULL}: ")
    assert machine.state("a.service") == "loaded active running"
    assert machine.calls("stop") == []
    assert seen.manifest == holding(A, B)


def test_a_read_only_folder_is_told_and_stops_nothing(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    before = listing(machine)
    machine.extra = READ_ONLY
    seen, after = visit_and_list(machine, act(CHANGES, holding(A, B)))
    assert after == before
    assert failures(seen).startswith(f"{Failure.READ_ONLY}: ")
    assert "Read-only file system" in failures(seen)
    assert machine.state("a.service") == "loaded active running"
    assert [found.entry.name for found in seen.found] == ["a.service", "b.service"]


def test_a_folder_that_cannot_be_made_is_told(new_machine: Callable[..., Machine], shell: str) -> None:
    machine = new_machine(shell=shell)
    (machine.root / "run/fleet").write_text("a file in its place")
    seen = machine.reached(act(install(A)))
    assert outcomes(seen, ok=False)[0][0] is Action.NOTE
    assert machine.calls("start") == []
    assert seen.found == ()


def test_outcomes_carry_no_unit_but_their_action(machine: Machine) -> None:
    seen = machine.reached(act(install(A)))
    assert seen.outcomes == tuple(
        Outcome(action, "", True) for action in (Action.LINK, Action.RELOAD, Action.START)
    )
