"""Finding the text of a unit: a local file, the store, or a template in either (fleet 1.4, 1.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from fleetssh.core.errors import CommandError, UnitError
from fleetssh.core.model import State, TargetState, Unit, Wanted
from fleetssh.core.names import glob_matches, is_template, mangle, template_of, validate_name
from fleetssh.core.requirements import read_unit

MAX_UNIT_BYTES = 1024 * 1024
"""A unit file larger than this is not one: systemd's own files stay under 10 kB."""

PREFIX = "Error creating units: "
ADVICE = "Add --replace to override."
"""fleet's word for word."""

MAY_REPLACE = {
    TargetState.INACTIVE: frozenset({TargetState.INACTIVE}),
    TargetState.LOADED: frozenset({TargetState.INACTIVE, TargetState.LOADED}),
    TargetState.LAUNCHED: frozenset(TargetState),
}
"""fleet 1.6: which units ``submit``, ``load`` and ``start`` may replace, by the verb's own target state."""

NOWHERE: Mapping[str, str] = MappingProxyType({})
GLOB_CHARACTERS = frozenset("*?[")
"""What makes an argument a glob; a backslash does not, unit names may have one."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a list of arguments means before anything is changed.

    ``names`` are all units meant, in the order given, without repeats; ``created`` are new to the store,
    ``replaced`` get a new text; ``notes`` go to standard output, ``warnings`` to standard error.
    """

    names: tuple[str, ...]
    created: tuple[Unit, ...] = ()
    replaced: tuple[Unit, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def resolve(
    state: State,
    arguments: tuple[str, ...],
    target: TargetState,
    *,
    replace: bool,
    homes: Mapping[str, str] = NOWHERE,
) -> Resolution:
    """Finds every argument's unit; all of them, or an error and nothing is changed.

    ``target`` is what the verb wants of the units. Globs name units of the store, with their templates for
    ``submit`` alone. With ``replace``, a text that differs takes the place of the stored one when
    ``MAY_REPLACE`` says so. ``homes`` maps units to the machines that they are on, for what a refusal tells.
    Arguments see what those before them bring (fleet handles them one after the other). Raises
    CommandError naming the argument at fault.
    """
    search = _Search(dict(state.wanted), target, replace, homes)
    for argument in arguments:
        for path in search.expand(argument):
            search.add(path)
    return Resolution(
        tuple(search.names),
        tuple(search.created),
        tuple(search.replaced),
        tuple(search.notes),
        tuple(search.warnings),
    )


@dataclass(frozen=True, slots=True)
class _Local:
    """A unit text on this computer, and whether it is the template of what was asked for."""

    path: Path
    unit: Unit
    is_template: bool


@dataclass(slots=True)
class _Search:
    """One command's arguments, one after the other. ``stored`` is the store as it will be."""

    stored: dict[str, Wanted]
    target: TargetState
    replace: bool
    homes: Mapping[str, str]
    names: dict[str, None] = field(default_factory=dict)
    created: list[Unit] = field(default_factory=list)
    replaced: list[Unit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def expand(self, argument: str) -> list[str]:
        """The paths that an argument means: itself, or one for each stored unit that a glob matches."""
        pattern = mangle(argument)
        if not is_glob(pattern):
            return [argument]
        hits = [name for name in sorted(self.stored) if glob_matches(pattern, name)]
        if self.target is not TargetState.INACTIVE:
            hits = [name for name in hits if not is_template(name)]
        if not hits:
            raise CommandError(
                f"{PREFIX}no Unit({pattern}) in Registry",
                hint="a glob names units that were submitted: 'fleetssh list-unit-files' lists them",
            )
        # A template first: its instances may take their text from it.
        hits.sort(key=lambda name: not is_template(name))
        return [str(Path(argument).parent / name) for name in hits]

    def add(self, argument: str) -> None:
        """Finds what one argument means and what has to become of it."""
        name = mangle(argument)
        if name in self.names:
            return
        self.names[name] = None
        _check_name(name)
        if name not in self.stored:
            unit = self._find_new(argument, name)
            self.created.append(unit)
            self.stored[name] = Wanted(unit)
        elif self.replace:
            self._replace(argument, name)
        else:
            self._compare(argument, name)

    def _find_new(self, argument: str, name: str) -> Unit:
        """Local file, then the stored template, then a local template (fleet 1.4 step 3)."""
        local = _find_local(argument, name)
        if unit := self._choose(name, local):
            return unit
        if odd := _odd_path(argument, name):
            raise CommandError(f"{PREFIX}failed getting Unit({name}) from file: {odd}")
        template = template_of(name)
        if template is None or template == name:
            reason = f"unable to find Unit({name}) in Registry or on filesystem"
        else:
            reason = f"unable to find Unit({name}) or template Unit({template}) in Registry or on filesystem"
        raise CommandError(f"{PREFIX}{reason}", hint="a new unit needs its file: give the path of it")

    def _choose(self, name: str, local: _Local | None) -> Unit | None:
        """The text that ``name`` gets by fleet's order; warns when that is not the local one."""
        if local is not None and not local.is_template:
            return local.unit
        template = self._template_of(name)
        if template is None:
            return local.unit if local else None
        if local is not None and local.unit.hash != template.hash:
            self.warnings.append(_difference(template.name, local, _submit(local)))
        return _read(name, template.text, f"{template.name} (stored)")

    def _template_of(self, name: str) -> Unit | None:
        template = template_of(name)
        if template is None or template == name or template not in self.stored:
            return None
        return self.stored[template].unit

    def _compare(self, argument: str, name: str) -> None:
        """Warns when the local file is another than the stored one, or when it cannot be compared."""
        try:
            local = _find_local(argument, name)
        except CommandError as error:
            reason = error.message.removeprefix(PREFIX)
            self.warnings.append(f"WARNING: Unit {name} in registry is used, not the local file: {reason}")
            return
        if local is None or local.unit.hash == self.stored[name].unit.hash:
            return
        first_the_template = local.is_template and self._template_of(name) is not None
        self.warnings.append(_difference(name, local, _submit(local) if first_the_template else ADVICE))

    def _replace(self, argument: str, name: str) -> None:
        stored = self.stored[name]
        local = _find_local(argument, name)
        unit = self._choose(name, local)
        if unit is None:
            raise CommandError(
                f"{PREFIX}there is no local file of {name} to replace it with; nothing was changed",
                hint="give the path of its file, or leave --replace out",
            )
        if unit.hash == stored.unit.hash:
            self._refuse_stale(name, local)
            self.notes.append(f"Found same Unit({name}) in Registry, nothing to do")
            return
        if stored.target not in MAY_REPLACE[self.target]:
            raise self._refusal(name, stored)
        self.replaced.append(unit)
        self.stored[name] = Wanted(unit, stored.target, stored.generation)

    def _refuse_stale(self, name: str, local: _Local | None) -> None:
        """An instance follows the stored template: a changed local one alone would change nothing."""
        template = self._template_of(name)
        if local is None or template is None or not local.is_template or local.unit.hash == template.hash:
            return
        raise CommandError(
            f"{PREFIX}{name} has the text of the stored {template.name}, not of the changed {local.path}; "
            "nothing was changed",
            hint=f"fleetssh submit --replace {local.path} first, then this again",
        )

    def _refusal(self, name: str, stored: Wanted) -> CommandError:
        verb, what = "load", "its file is exchanged{where}, and it is not started"
        if stored.target is TargetState.LAUNCHED:
            verb, what = "start", "it restarts now{where}"
        where = f" on {self.homes[name]}" if name in self.homes else ""
        if stored.unit.requirements.is_global:
            where = " on every machine"
        return CommandError(
            f"{PREFIX}can not replace Unit({name}) in state '{stored.target}', use the appropriate command; "
            "nothing was changed",
            hint=f"fleetssh {verb} --replace {name}: {what.format(where=where)}",
        )


def is_glob(name: str) -> bool:
    """Whether an argument's name is a pattern over the names of stored units."""
    return not GLOB_CHARACTERS.isdisjoint(name)


def _check_name(name: str) -> None:
    try:
        validate_name(name)
    except UnitError as error:
        raise CommandError(f"{PREFIX}{error.reason}", error.hint) from error


def _difference(name: str, local: _Local, advice: str) -> str:
    """fleet's warning, naming the file that was really compared."""
    kind = "local template unit file" if local.is_template else "local unit file"
    return f"WARNING: Unit {name} in registry differs from {kind} {local.path}. {advice}"


def _submit(local: _Local) -> str:
    return f"'fleetssh submit --replace {local.path}' overrides it."


# ---------------------------------------------------------------- files


def _find_local(argument: str, name: str) -> _Local | None:
    for path, is_its_template in _local_paths(argument, name):
        if _is_file(path, name):
            return _Local(path, _read_file(path, name), is_its_template)
    return None


def _local_paths(argument: str, name: str) -> Iterator[tuple[Path, bool]]:
    folder = Path(argument).parent
    yield folder / name, False
    template = template_of(name)
    if template is not None and template != name:
        yield folder / template, True


def _odd_path(argument: str, name: str) -> str:
    """What lies where the file of a unit was looked for, when that is something else, or nothing."""
    for path, _ in _local_paths(argument, name):
        if path.is_dir():
            return f"{path} is a folder"
        if path.exists():
            return f"{path} is no ordinary file"
        if path.is_symlink():
            return f"{path} is a link that leads nowhere"
    return ""


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
