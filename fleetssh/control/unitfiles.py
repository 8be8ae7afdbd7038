"""Finding the text of a unit: the store, a local file, or a template in either (fleet 1.4, 1.6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fleetssh.core.errors import CommandError, UnitError
from fleetssh.core.model import State, TargetState, Unit
from fleetssh.core.names import mangle, template_of, validate_name
from fleetssh.core.requirements import read_unit

MAX_UNIT_BYTES = 1024 * 1024
"""A unit file larger than this is not one: systemd's own files stay under 10 kB."""

PREFIX = "Error creating units: "


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a list of arguments means before anything is changed.

    ``names`` are all units meant, in the order given, without repeats; ``created`` are new to the store,
    ``replaced`` get a new text; ``notes`` go to standard output, ``warnings`` to standard error.
    """

    names: tuple[str, ...]
    created: tuple[Unit, ...]
    replaced: tuple[Unit, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Local:
    """A unit text on this computer, and whether it is the template of what was asked for."""

    path: Path
    unit: Unit
    is_template: bool


def resolve(
    state: State, arguments: tuple[str, ...], *, replace: bool, may_replace: frozenset[TargetState]
) -> Resolution:
    """Finds every argument's unit; all of them, or an error and nothing is changed.

    With ``replace``, a local text that differs takes the place of the stored one when the unit's target
    state is in ``may_replace``. Raises CommandError or UnitError naming the argument at fault.
    """
    names: dict[str, None] = {}
    created: list[Unit] = []
    replaced: list[Unit] = []
    notes: list[str] = []
    warnings: list[str] = []
    for argument in arguments:
        name = mangle(argument)
        if name in names:
            continue
        names[name] = None
        _check_name(name)
        if name not in state.wanted:
            created.append(_find_new(state, argument, name, warnings))
            continue
        local = _find_local(argument, name)
        if replace:
            replaced += _find_replacement(state, name, local, may_replace, notes)
        elif local is not None:
            warnings += _difference(name, state.wanted[name].unit, local)
    return Resolution(tuple(names), tuple(created), tuple(replaced), tuple(notes), tuple(warnings))


def _check_name(name: str) -> None:
    try:
        validate_name(name)
    except UnitError as error:
        raise CommandError(f"{PREFIX}{error.reason}", error.hint) from error


def _find_new(state: State, argument: str, name: str, warnings: list[str]) -> Unit:
    """Local file, then the stored template, then a local template (fleet 1.4 step 3)."""
    local = _find_local(argument, name)
    template = template_of(name)
    if local is not None and not local.is_template:
        return local.unit
    if template is not None and template in state.wanted:
        stored = state.wanted[template].unit
        if local is not None:
            warnings += _difference(template, stored, local)
        return _read(name, stored.text, f"{template} (stored)")
    if local is not None:
        return local.unit
    if template is None or template == name:
        reason = f"unable to find Unit({name}) in Registry or on filesystem"
    else:
        reason = f"unable to find Unit({name}) or template Unit({template}) in Registry or on filesystem"
    raise CommandError(f"{PREFIX}{reason}", hint=f"give the path of its file, or submit it first: {argument}")


def _find_replacement(
    state: State, name: str, local: _Local | None, may_replace: frozenset[TargetState], notes: list[str]
) -> list[Unit]:
    stored = state.wanted[name]
    template = template_of(name)
    if local is None and template is not None and template != name and template in state.wanted:
        source = state.wanted[template].unit
        local = _Local(Path(template), _read(name, source.text, f"{template} (stored)"), True)
    if local is None:
        raise CommandError(f"{PREFIX}there is no local file of {name} to replace it with")
    if local.unit.hash == stored.unit.hash:
        notes.append(f"Found same Unit({name}) in Registry, nothing to do")
        return []
    if stored.target not in may_replace:
        raise CommandError(
            f"{PREFIX}can not replace Unit({name}) in state '{stored.target}', use the appropriate command",
            hint=f"fleetssh start --replace {name}",
        )
    return [local.unit]


def _difference(name: str, stored: Unit, local: _Local) -> list[str]:
    if stored.hash == local.unit.hash:
        return []
    kind = "local template unit file" if local.is_template else "local unit file"
    return [f"WARNING: Unit {name} in registry differs from {kind} {local.path}. Add --replace to override."]


def _find_local(argument: str, name: str) -> _Local | None:
    path = Path(argument).parent / name
    if _is_file(path, name):
        return _Local(path, _read_file(path, name), False)
    template = template_of(name)
    if template is None or template == name:
        return None
    path = path.parent / template
    return _Local(path, _read_file(path, name), True) if _is_file(path, name) else None


def _is_file(path: Path, name: str) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise _unreadable(path, name, error) from error


def _read_file(path: Path, name: str) -> Unit:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_UNIT_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, name, error) from error
    if len(text) > MAX_UNIT_BYTES:
        raise CommandError(f"{PREFIX}{path} is larger than {MAX_UNIT_BYTES} bytes; that is no unit file")
    return _read(name, text, str(path))


def _unreadable(path: Path, name: str, error: OSError) -> CommandError:
    reason = error.strerror or str(error)
    return CommandError(f"{PREFIX}failed getting Unit({name}) from file: {path}: {reason}")


def _read(name: str, text: bytes, source: str) -> Unit:
    try:
        return read_unit(name, text, source)
    except UnitError as error:
        raise CommandError(f"{PREFIX}{error.message}", error.hint) from error
