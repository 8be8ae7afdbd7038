from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fleetssh.control.chronicle import Author
from fleetssh.control.commands import EDIT_TRIES, Change, bring, match, remove, restart, take_down
from fleetssh.core.errors import CommandError, StoreConflict
from fleetssh.core.model import MachineRecord, Placement, State, TargetState
from fleetssh.store import Event, Store
from fleetssh.store.memory import MemoryStore

ANN = Author("ann@desk", "verb")
INACTIVE, LOADED, LAUNCHED = TargetState.INACTIVE, TargetState.LOADED, TargetState.LAUNCHED
TEXT = "[Service]\nExecStart=/bin/true\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with three units and a template."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c", "web@"):
        (tmp_path / f"{name}.service").write_text(TEXT)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Store:
    """An empty store."""
    return MemoryStore("c1")


def targets(state: State) -> dict[str, str]:
    return {name.removesuffix(".service"): str(one.target) for name, one in sorted(state.wanted.items())}


# ---------------------------------------------------------------- submit, load, start


@pytest.mark.parametrize("target", TargetState)
def test_new_units_get_the_verbs_target(store: Store, target: TargetState) -> None:
    change = bring(store, ANN, ("b", "a"), target, replace=False)
    assert targets(store.load()) == {"a": target, "b": target}
    assert change.state == store.load()
    assert change.before.wanted == {}
    assert change.changed == (() if target is INACTIVE else ("b.service", "a.service"))
    assert [unit.name for unit in change.resolution.created] == ["b.service", "a.service"]


def test_submitting_leaves_units_that_exist_as_they_are(store: Store) -> None:
    bring(store, ANN, ("a",), LAUNCHED, replace=False)
    change = bring(store, ANN, ("a", "b"), INACTIVE, replace=False)
    assert targets(store.load()) == {"a": "launched", "b": "inactive"}
    assert change.changed == ()


def test_units_already_there_are_not_among_the_changed(store: Store) -> None:
    bring(store, ANN, ("a",), LAUNCHED, replace=False)
    revision = store.load().revision
    assert bring(store, ANN, ("a", "b"), LAUNCHED, replace=False).changed == ("b.service",)
    assert store.load().revision == revision + 1


def test_doing_nothing_commits_nothing(store: Store) -> None:
    bring(store, ANN, ("a",), LAUNCHED, replace=False)
    before = store.load()
    change = bring(store, ANN, ("a",), LAUNCHED, replace=False)
    assert change.changed == ()
    assert store.load() == before == change.state


def test_loading_a_launched_unit_takes_it_back_to_loaded(store: Store) -> None:
    bring(store, ANN, ("a",), LAUNCHED, replace=False)
    assert bring(store, ANN, ("a",), LOADED, replace=False).changed == ("a.service",)
    assert targets(store.load()) == {"a": "loaded"}


def test_one_bad_argument_and_nothing_is_changed(store: Store) -> None:
    with pytest.raises(CommandError, match="nowhere"):
        bring(store, ANN, ("a", "nowhere"), LAUNCHED, replace=False)
    assert store.load().wanted == {}


def test_a_template_can_be_submitted_but_not_started(store: Store) -> None:
    bring(store, ANN, ("web@",), INACTIVE, replace=False)
    with pytest.raises(CommandError, match="cannot activate template"):
        bring(store, ANN, ("a", "web@"), LAUNCHED, replace=False)
    bring(store, ANN, ("web@1", "web@2"), LAUNCHED, replace=False)
    assert targets(store.load()) == {"web@": "inactive", "web@1": "launched", "web@2": "launched"}


def test_a_replaced_unit_keeps_its_place_and_gets_the_verbs_target(store: Store, folder: Path) -> None:
    bring(store, ANN, ("a",), LOADED, replace=False)
    (folder / "a.service").write_text(TEXT + "ExecStop=/bin/true\n")
    change = bring(store, ANN, ("a",), LAUNCHED, replace=True)
    assert [unit.name for unit in change.resolution.replaced] == ["a.service"]
    assert change.changed == ("a.service",)
    kept = store.load().wanted["a.service"]
    assert kept.unit.text.decode().endswith("ExecStop=/bin/true\n")
    assert kept.target is LAUNCHED


def test_a_running_unit_is_replaced_in_place_by_start(store: Store, folder: Path) -> None:
    bring(store, ANN, ("a",), LAUNCHED, replace=False)
    (folder / "a.service").write_text(TEXT + "# a comment is no difference\nUser=root\n")
    change = bring(store, ANN, ("a",), LAUNCHED, replace=True)
    assert change.changed == ()
    assert change.state.wanted["a.service"].unit.text.decode().endswith("User=root\n")


@pytest.mark.parametrize(
    ("verb", "stored", "allowed"),
    [
        (INACTIVE, INACTIVE, True),
        (INACTIVE, LOADED, False),
        (INACTIVE, LAUNCHED, False),
        (LOADED, INACTIVE, True),
        (LOADED, LOADED, True),
        (LOADED, LAUNCHED, False),
        (LAUNCHED, INACTIVE, True),
        (LAUNCHED, LOADED, True),
        (LAUNCHED, LAUNCHED, True),
    ],
)
def test_which_verb_may_replace_what(
    store: Store, folder: Path, verb: TargetState, stored: TargetState, allowed: bool
) -> None:
    bring(store, ANN, ("a",), stored, replace=False)
    before = store.load()
    (folder / "a.service").write_text(TEXT + "User=root\n")
    if allowed:
        assert bring(store, ANN, ("a",), verb, replace=True).resolution.replaced
        assert store.load() != before
    else:
        with pytest.raises(CommandError, match="can not replace"):
            bring(store, ANN, ("a",), verb, replace=True)
        assert store.load() == before


def test_a_refused_replacement_in_a_list_changes_nothing_and_names_the_machine(
    store: Store, folder: Path
) -> None:
    bring(store, ANN, ("a", "b"), LAUNCHED, replace=False)
    machine = MachineRecord("h1", "14ffe4c3b2", address="10.1.1.1")
    store.remember([machine])
    state = store.load()
    before = store.commit(replace(state, placements={"a.service": Placement("a.service", "14ffe4c3b2", "")}))
    for name in "abc":
        (folder / f"{name}.service").write_text(TEXT + "User=root\n")
    with pytest.raises(CommandError, match="nothing was changed") as caught:
        bring(store, ANN, ("c", "a", "b"), INACTIVE, replace=True)
    assert caught.value.hint == (
        "fleetssh start --replace a.service: it restarts now on 14ffe4c3.../10.1.1.1"
    )
    assert store.load() == before


def test_a_changed_unit_that_conflicts_with_its_neighbour_gives_its_place_up(
    store: Store, folder: Path
) -> None:
    bring(store, ANN, ("a", "b"), LAUNCHED, replace=False)
    places = {name: Placement(name, "m1", "") for name in ("a.service", "b.service")}
    store.commit(replace(store.load(), placements=places))
    (folder / "a.service").write_text(TEXT + "[X-Fleet]\nConflicts=b.service\n")
    bring(store, ANN, ("a",), LAUNCHED, replace=True)
    assert store.load().placements == {"b.service": places["b.service"]}


# ---------------------------------------------------------------- stop, unload, destroy, restart


@pytest.fixture
def full(store: Store) -> Store:
    """A launched, b loaded, c inactive; two instances of web launched."""
    bring(store, ANN, ("a", "web@1", "web@2"), LAUNCHED, replace=False)
    bring(store, ANN, ("b",), LOADED, replace=False)
    bring(store, ANN, ("c",), INACTIVE, replace=False)
    return store


def test_stopping_takes_units_to_loaded(full: Store) -> None:
    change = take_down(full, ANN, ("b", "a"), LOADED)
    assert change.changed == ("a.service",)
    assert change.resolution.names == ("b.service", "a.service")
    assert targets(full.load())["a"] == "loaded"


def test_an_inactive_unit_cannot_be_stopped_and_then_nothing_is(full: Store) -> None:
    before = full.load()
    with pytest.raises(CommandError, match=r"Unable to stop unit c\.service in state inactive"):
        take_down(full, ANN, ("a", "c"), LOADED)
    assert full.load() == before


def test_unloading_takes_units_to_inactive(full: Store) -> None:
    assert take_down(full, ANN, ("a", "b", "c"), INACTIVE).changed == ("a.service", "b.service")
    assert set(targets(full.load()).values()) == {"inactive", "launched"}


def test_destroying_forgets_units(full: Store) -> None:
    change = remove(full, ANN, ("examples/a.service", "c"))
    assert change.changed == ("a.service", "c.service")
    assert sorted(targets(full.load())) == ["b", "web@1", "web@2"]
    assert "a.service" in change.before.wanted


def test_restarting_raises_the_generation_and_launches_what_is_loaded(full: Store) -> None:
    change = restart(full, ANN, ("a", "b"))
    assert change.changed == ("a.service", "b.service")
    wanted = full.load().wanted
    assert [(wanted[n].target, wanted[n].generation) for n in ("a.service", "b.service")] == [
        (LAUNCHED, 1),
        (LAUNCHED, 1),
    ]
    assert restart(full, ANN, ("a",)).state.wanted["a.service"].generation == 2


def test_an_inactive_unit_cannot_be_restarted(full: Store) -> None:
    before = full.load()
    with pytest.raises(CommandError, match="in state inactive") as caught:
        restart(full, ANN, ("a", "c"))
    assert caught.value.hint == "nothing was changed\nfleetssh start c.service"
    assert full.load() == before


VERBS: list[Callable[[Store, Author, tuple[str, ...]], Change]] = [
    partial(take_down, target=LOADED),
    partial(take_down, target=INACTIVE),
    remove,
    restart,
]


@pytest.mark.parametrize("verb", VERBS, ids=["stop", "unload", "destroy", "restart"])
def test_a_name_that_is_nothing_changes_nothing(
    full: Store, verb: Callable[[Store, Author, tuple[str, ...]], Change]
) -> None:
    before = full.load()
    with pytest.raises(CommandError, match=r"Units not found in registry: x\.service y@\*\.service"):
        verb(full, ANN, ("a", "x", "y@*", "x"))
    assert full.load() == before


def test_globs_name_stored_units_sorted_where_they_stand(full: Store) -> None:
    state = full.load()
    assert match(state, ("web@*",)) == ("web@1.service", "web@2.service")
    assert match(state, ("web@2", "*", "a")) == (
        "web@2.service",
        "a.service",
        "b.service",
        "c.service",
        "web@1.service",
    )
    assert match(state, ("[ab]",)) == ("a.service", "b.service")
    assert match(state, ("web@?.service",)) == ("web@1.service", "web@2.service")


def test_globs_pass_over_what_cannot_be_stopped_or_restarted(full: Store) -> None:
    bring(full, ANN, ("web@.service",), INACTIVE, replace=False)
    assert restart(full, ANN, ("web@*",)).changed == ("web@1.service", "web@2.service")
    assert take_down(full, ANN, ("web@*", "?.service"), LOADED).resolution.names == (
        "web@1.service",
        "web@2.service",
        "a.service",
        "b.service",
    )
    take_down(full, ANN, ("*",), INACTIVE)
    with pytest.raises(CommandError, match=r"Unable to stop unit web@\.service in state inactive"):
        take_down(full, ANN, ("web@*",), LOADED)


# ---------------------------------------------------------------- somebody else was faster


class Contested(MemoryStore):
    """A store in which somebody else commits just before us, some times."""

    def __init__(self, others: int) -> None:
        super().__init__("c1")
        self.others = others
        self.tries = 0

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        self.tries += 1
        if self.others:
            self.others -= 1
            super().commit(self.load())
        return super().commit(state, events)


def test_a_commit_that_lost_is_edited_again(folder: Path) -> None:
    store = Contested(others=3)
    change = bring(store, ANN, ("a",), LAUNCHED, replace=False)
    assert targets(store.load()) == {"a": "launched"}
    assert store.tries == 4
    assert change.state.revision == store.load().revision == 4
    assert len(store.history(10)) == 1


def test_losing_for_ever_is_told(folder: Path) -> None:
    store = Contested(others=1000)
    with pytest.raises(StoreConflict):
        bring(store, ANN, ("a",), LAUNCHED, replace=False)
    assert store.tries == EDIT_TRIES
    assert store.history(10) == ()


# ---------------------------------------------------------------- the history


def told(store: Store) -> list[tuple[str, str]]:
    events = store.history(100)
    assert {(event.who, event.kind) for event in events} <= {("ann@desk", "command")}
    return [(event.subject, event.text) for event in events]


def test_a_command_is_remembered_once_for_each_unit_that_it_changed(store: Store) -> None:
    bring(store, Author("ann@desk", "start"), ("b", "./a.service"), LAUNCHED, replace=False)
    bring(store, Author("ann@desk", "start"), ("a", "b"), LAUNCHED, replace=False)
    assert told(store) == [
        ("a.service", "start b ./a.service: new, launched"),
        ("b.service", "start b ./a.service: new, launched"),
    ]


def test_the_history_tells_what_is_different(full: Store, folder: Path) -> None:
    (folder / "a.service").write_text(TEXT + "User=root\n")
    old = full.load().wanted["a.service"].unit.hash
    before = len(told(full))
    bring(full, Author("ann@desk", "load"), ("a",), LAUNCHED, replace=True)
    restart(full, Author("ann@desk", "restart"), ("a",))
    take_down(full, Author("ann@desk", "stop"), ("web*",), LOADED)
    remove(full, Author("ann@desk", "destroy"), ("c",))
    new = full.load().wanted["a.service"].unit.hash
    assert told(full)[before:] == [
        ("a.service", f"load a: file {old} -> {new}"),
        ("a.service", "restart a: restart asked for"),
        ("web@1.service", "stop web*: launched -> loaded"),
        ("web@2.service", "stop web*: launched -> loaded"),
        ("c.service", "destroy c: forgotten, was inactive"),
    ]


def test_a_command_that_was_refused_is_not_remembered(store: Store) -> None:
    with pytest.raises(CommandError):
        take_down(store, ANN, ("nowhere",), LOADED)
    assert told(store) == []


def test_a_thousand_arguments_do_not_fill_the_history(store: Store) -> None:
    names = tuple(f"web@{number}" for number in range(1000))
    bring(store, ANN, names, LAUNCHED, replace=False)
    events = store.history(2000)
    assert len(events) == 1000
    assert max(len(event.text) for event in events) < 200
