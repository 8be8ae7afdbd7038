from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fleetssh.control.unitfiles import MAX_UNIT_BYTES, Resolution, resolve
from fleetssh.core.errors import CommandError
from fleetssh.core.model import State, TargetState, Wanted
from fleetssh.core.requirements import read_unit

TEXT = b"[Service]\nExecStart=/bin/true\n"
OTHER = b"[Service]\nExecStart=/bin/false\n"
INACTIVE, LOADED, LAUNCHED = TargetState.INACTIVE, TargetState.LOADED, TargetState.LAUNCHED


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(**texts: bytes) -> State:
    """Units in the store, ``__`` for ``@`` and without ``.service``; all launched."""
    names = {f"{name.replace('__', '@')}.service": text for name, text in texts.items()}
    return State("c1", 1, {n: Wanted(read_unit(n, t), TargetState.LAUNCHED) for n, t in names.items()})


def find(state: State, *arguments: str, target: TargetState = LAUNCHED, replace: bool = False) -> Resolution:
    return resolve(state, arguments, target, replace=replace, homes={"a.service": "14ffe4c3.../10.1.1.1"})


def refusal(
    state: State, *arguments: str, target: TargetState = INACTIVE, replace: bool = False
) -> CommandError:
    with pytest.raises(CommandError) as caught:
        find(state, *arguments, target=target, replace=replace)
    return caught.value


# ---------------------------------------------------------------- new units: where their text comes from


@pytest.mark.parametrize("argument", ["a", "a.service", "./a", "sub/../a.service"])
def test_a_local_file_makes_a_new_unit(folder: Path, argument: str) -> None:
    (folder / "sub").mkdir()
    (folder / "a.service").write_bytes(TEXT)
    found = find(stored(), argument)
    assert found == Resolution(("a.service",), (read_unit("a.service", TEXT),), (), (), ())


def test_the_suffix_rule_holds_for_paths_too(folder: Path) -> None:
    (folder / "units").mkdir()
    (folder / "units/a.service").write_bytes(TEXT)
    (folder / "units/b.socket").write_bytes(b"[Socket]\nListenStream=80\n")
    assert find(stored(), "units/a", "units/b.socket").names == ("a.service", "b.socket")


def test_names_keep_their_order_and_repeats_are_one(folder: Path) -> None:
    for name in "ab":
        (folder / f"{name}.service").write_bytes(TEXT)
    found = find(stored(), "b", "a", "b.service", "./a")
    assert found.names == ("b.service", "a.service")
    assert [unit.name for unit in found.created] == ["b.service", "a.service"]


def test_an_instances_own_file_comes_before_any_template(folder: Path) -> None:
    (folder / "t@1.service").write_bytes(TEXT)
    (folder / "t@.service").write_bytes(OTHER)
    (unit,) = find(stored(t__=OTHER), "t@1").created
    assert (unit.name, unit.text) == ("t@1.service", TEXT)


def test_the_stored_template_comes_before_the_local_one_which_is_warned_about(folder: Path) -> None:
    (folder / "t@.service").write_bytes(OTHER)
    found = find(stored(t__=TEXT), "t@1")
    assert [(unit.name, unit.text) for unit in found.created] == [("t@1.service", TEXT)]
    (warning,) = found.warnings
    assert warning == (
        "WARNING: Unit t@.service in registry differs from local template unit file t@.service. "
        "'fleetssh submit --replace t@.service' overrides it."
    )


def test_the_local_template_serves_when_none_is_stored(folder: Path) -> None:
    (folder / "units").mkdir()
    (folder / "units/t@.service").write_bytes(b"[Service]\nExecStart=/bin/echo %i\n")
    found = find(stored(), "units/t@1", "units/t@.service")
    assert [unit.name for unit in found.created] == ["t@1.service", "t@.service"]
    assert found.warnings == ()


def test_the_requirements_of_an_instance_are_its_own(folder: Path) -> None:
    (folder / "t@.service").write_bytes(TEXT + b"[X-Fleet]\nConflicts=t@*.service\nMachineOf=db@%i.service\n")
    (unit,) = find(stored(), "t@7").created
    assert unit.requirements.machine_of == ("db@7.service",)


def test_a_unit_that_is_nowhere() -> None:
    error = refusal(stored(), "a")
    assert error.message == (
        "Error creating units: unable to find Unit(a.service) in Registry or on filesystem"
    )
    assert error.hint == "a new unit needs its file: give the path of it"
    error = refusal(stored(), "t@1")
    assert "or template Unit(t@.service) in Registry or on filesystem" in error.message
    # A template is not its own template.
    assert "template Unit" not in refusal(stored(), "t@").message


def test_one_bad_argument_and_nothing_is_meant(folder: Path) -> None:
    (folder / "a.service").write_bytes(TEXT)
    assert "Unit(b.service)" in refusal(stored(), "a", "b").message


# ---------------------------------------------------------------- files and names that cannot be


@pytest.mark.parametrize("argument", ["", "a b", "a.device", "@1", "x" * 300, "."])
def test_names_that_cannot_be_are_refused_before_any_file_is_read(argument: str) -> None:
    assert refusal(stored(), argument).message.startswith("Error creating units: ")


def test_mistakes_in_a_file_are_told_with_file_and_line(folder: Path) -> None:
    (folder / "a.service").write_bytes(b"[Service]\nnonsense\n")
    assert refusal(stored(), "./a.service").message.startswith("Error creating units: a.service:2: ")


def test_a_file_that_is_far_too_large_is_none(folder: Path) -> None:
    (folder / "a.service").write_bytes(b"#" * (MAX_UNIT_BYTES + 1))
    assert "larger than" in refusal(stored(), "a").message


def test_what_is_no_file_is_named_as_what_it_is(folder: Path) -> None:
    (folder / "a.service").mkdir()
    os.mkfifo(folder / "b.service")
    (folder / "c.service").symlink_to("nowhere")
    (folder / "d.service").symlink_to("d.service")
    said = "Error creating units: failed getting Unit({0}) from file: {0} is {1}"
    for name, words in {
        "a.service": "a folder",
        "b.service": "no ordinary file",
        "c.service": "a link that leads nowhere",
        "d.service": "a link that leads nowhere",
    }.items():
        assert refusal(stored(), name).message == said.format(name, words)
    # Where it is not needed, it is not looked at.
    assert find(stored(a=TEXT), "a").warnings == ()


def test_a_path_that_cannot_be_looked_at_is_told(folder: Path) -> None:
    error = refusal(stored(), f"{'d' * 300}/a.service")
    assert error.message.startswith("Error creating units: failed getting Unit(a.service) from file: ")
    assert error.message.endswith("File name too long")


# ---------------------------------------------------------------- units that exist


def test_a_stored_unit_is_meant_by_its_name_whatever_lies_here(folder: Path) -> None:
    assert find(stored(a=TEXT), "a", "elsewhere/a.service") == Resolution(("a.service",), (), (), (), ())
    (folder / "a.service").write_bytes(b"# only a comment\n" + TEXT)
    assert find(stored(a=TEXT), "a").warnings == ()


def test_a_local_file_that_differs_is_warned_about(folder: Path) -> None:
    (folder / "a.service").write_bytes(OTHER)
    found = find(stored(a=TEXT), "a")
    assert (found.created, found.replaced) == ((), ())
    (warning,) = found.warnings
    assert warning == (
        "WARNING: Unit a.service in registry differs from local unit file a.service. "
        "Add --replace to override."
    )


def test_a_local_template_that_differs_from_a_stored_instance_is_warned_about(folder: Path) -> None:
    """fleet named the instance's path here, where no file is (A13)."""
    (folder / "units").mkdir()
    (folder / "units/t@.service").write_bytes(OTHER)
    (warning,) = find(stored(t__1=TEXT), "units/t@1").warnings
    assert warning == (
        "WARNING: Unit t@1.service in registry differs from local template unit file units/t@.service. "
        "Add --replace to override."
    )
    (warning,) = find(stored(t__1=TEXT, t__=TEXT), "units/t@1").warnings
    assert warning.endswith("'fleetssh submit --replace units/t@.service' overrides it.")


def test_a_local_file_that_cannot_be_read_does_not_keep_a_stored_unit_from_starting(folder: Path) -> None:
    (folder / "a.service").write_bytes(b"[Service]\nnonsense\n")
    found = find(stored(a=TEXT), "a")
    assert found.names == ("a.service",)
    (warning,) = found.warnings
    assert warning.startswith(
        "WARNING: Unit a.service in registry is used, not the local file: a.service:2: "
    )
    assert "a.service:2: " in refusal(stored(a=TEXT), "a", replace=True).message


def test_arguments_see_what_those_before_them_bring(folder: Path) -> None:
    (folder / "units").mkdir()
    (folder / "units/t@.service").write_bytes(TEXT)
    created = find(stored(), "units/t@.service", "t@1", target=INACTIVE).created
    assert [(unit.name, unit.text) for unit in created] == [("t@.service", TEXT), ("t@1.service", TEXT)]
    assert "unable to find" in refusal(stored(), "t@1", "units/t@.service").message


# ---------------------------------------------------------------- --replace


def waiting(**texts: bytes) -> State:
    """Like ``stored``, all inactive."""
    state = stored(**texts)
    return replace(state, wanted={n: replace(w, target=INACTIVE) for n, w in state.wanted.items()})


def test_replacing_takes_the_local_text(folder: Path) -> None:
    (folder / "a.service").write_bytes(OTHER)
    found = find(stored(a=TEXT), "a", replace=True)
    assert found == Resolution(("a.service",), (), (read_unit("a.service", OTHER),), (), ())


def test_replacing_with_the_same_is_noted_and_nothing_else(folder: Path) -> None:
    (folder / "a.service").write_bytes(b"# only a comment\n" + TEXT)
    found = find(stored(a=TEXT), "a", target=INACTIVE, replace=True)
    assert found.notes == ("Found same Unit(a.service) in Registry, nothing to do",)
    assert found.replaced == ()


def test_replacing_needs_something_to_replace_it_with() -> None:
    assert "no local file of a.service" in refusal(stored(a=TEXT), "a", replace=True).message
    assert "no local file of t@1.service" in refusal(stored(t__1=TEXT), "t@1", replace=True).message


def test_replacing_what_is_not_there_yet_creates_it(folder: Path) -> None:
    (folder / "a.service").write_bytes(TEXT)
    assert [unit.name for unit in find(stored(), "a", replace=True).created] == ["a.service"]


def test_an_instance_is_replaced_by_its_own_file_first(folder: Path) -> None:
    (folder / "t@1.service").write_bytes(OTHER)
    (unit,) = find(stored(t__1=TEXT, t__=TEXT), "t@1", replace=True).replaced
    assert unit.text == OTHER


def test_an_instance_is_replaced_from_the_stored_template_then() -> None:
    (unit,) = find(stored(t__1=TEXT, t__=OTHER), "t@1", replace=True).replaced
    assert (unit.name, unit.text) == ("t@1.service", OTHER)


def test_an_instance_is_replaced_from_the_local_template_when_none_is_stored(folder: Path) -> None:
    (folder / "t@.service").write_bytes(OTHER)
    (unit,) = find(stored(t__1=TEXT), "t@1", replace=True).replaced
    assert (unit.name, unit.text) == ("t@1.service", OTHER)


def test_a_changed_local_template_alone_does_not_change_an_instance_and_that_is_an_error(
    folder: Path,
) -> None:
    (folder / "t@.service").write_bytes(OTHER)
    state = stored(t__1=TEXT)
    state = replace(state, wanted={**state.wanted, **waiting(t__=TEXT).wanted})
    error = refusal(state, "t@1", target=LAUNCHED, replace=True)
    assert error.message == (
        "Error creating units: t@1.service has the text of the stored t@.service, not of the changed "
        "t@.service; nothing was changed"
    )
    assert error.hint == "fleetssh submit --replace t@.service first, then this again"
    both = find(state, "t@.service", "t@1", target=LAUNCHED, replace=True)
    assert [unit.name for unit in both.replaced] == ["t@.service", "t@1.service"]


@pytest.mark.parametrize(
    ("stored_as", "verb", "hint"),
    [
        (LAUNCHED, INACTIVE, "fleetssh start --replace a.service: it restarts now on 14ffe4c3.../10.1.1.1"),
        (LAUNCHED, LOADED, "fleetssh start --replace a.service: it restarts now on 14ffe4c3.../10.1.1.1"),
        (
            LOADED,
            INACTIVE,
            (
                "fleetssh load --replace a.service: its file is exchanged on 14ffe4c3.../10.1.1.1, "
                "and it is not started"
            ),
        ),
    ],
)
def test_a_unit_in_a_state_that_the_verb_may_not_touch_is_not_replaced(
    folder: Path, stored_as: TargetState, verb: TargetState, hint: str
) -> None:
    (folder / "a.service").write_bytes(OTHER)
    state = stored(a=TEXT)
    state = replace(state, wanted={"a.service": replace(state.wanted["a.service"], target=stored_as)})
    error = refusal(state, "a", target=verb, replace=True)
    assert error.message == (
        f"Error creating units: can not replace Unit(a.service) in state '{stored_as}', "
        "use the appropriate command; nothing was changed"
    )
    assert error.hint == hint


# ---------------------------------------------------------------- globs


def test_globs_name_stored_units_but_no_templates_when_they_are_to_run(folder: Path) -> None:
    state = stored(t__=TEXT, t__1=TEXT, t__2=TEXT, u=TEXT)
    assert find(state, "t@*").names == ("t@1.service", "t@2.service")
    assert find(state, "t@*", target=INACTIVE).names == ("t@.service", "t@1.service", "t@2.service")
    assert find(state, "[tu]*").names == ("t@1.service", "t@2.service", "u.service")
    assert refusal(state, "v*").message == "Error creating units: no Unit(v*.service) in Registry"


def test_a_template_and_its_instances_are_replaced_by_one_glob(folder: Path) -> None:
    (folder / "units").mkdir()
    (folder / "units/t@.service").write_bytes(OTHER)
    found = find(waiting(t__=TEXT, t__1=TEXT), "units/t@*", target=INACTIVE, replace=True)
    assert [(unit.name, unit.text) for unit in found.replaced] == [
        ("t@.service", OTHER),
        ("t@1.service", OTHER),
    ]
