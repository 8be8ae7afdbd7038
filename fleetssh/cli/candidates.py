"""What can stand at a place of a command line, found in files alone: no machine is asked, nothing is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import filterfalse
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from fleetssh.cli.flags import Flag, Shaped, is_long_letter, spell_flags
from fleetssh.cli.session import Session
from fleetssh.core.names import SUFFIXES

Items = Iterator[CompletionItem[str]]

HERE = "\0"
"""Stands for the word that is being completed: no argument of a program can hold it."""

FROM_FILES = frozenset({"submit", "load", "start"})
"""Verbs whose units may be local files as well as stored ones."""

ONLY_FILES = frozenset({"verify"})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where on a command line the cursor is. ``param`` takes the word there; ``words`` are those before it
    that belong to the command, ``index`` counts those that belong to ``param``."""

    ctx: click.Context
    param: click.Parameter | None
    words: tuple[str, ...]
    index: int = 0


def find_candidates(program: click.Group, words: Sequence[str], current: str) -> list[CompletionItem[str]]:
    """What can stand after ``words`` (the program's name left out) and begins with ``current``.

    Global flags among ``words`` and the environment say where state and inventory are; what of them cannot
    be read gives no candidates, and no file is ever made.
    """
    with closing(Session()) as session:
        place = _descend(program, words, session)
        found = _find(place, current) if place else ()
        return [item for item in found if item.value.startswith(current)]


def _find(place: _Place, current: str) -> Items:
    flag, equals, value = current.partition("=")
    if isinstance(place.param, click.Option):
        yield from _values(place, place.param, current)
    elif not current.startswith("-") or "--" in place.words:
        yield from _words(place, current)
    elif not equals:
        yield from _flags(place.ctx)
    else:
        for param in place.ctx.command.get_params(place.ctx):
            if flag in param.opts:
                for item in _values(place, param, value):
                    yield CompletionItem(f"{flag}={item.value}", help=item.help)


# ---------------------------------------------------------------- where the cursor is


def _descend(program: click.Group, words: Sequence[str], session: Session) -> _Place | None:
    """The place after ``words`` in the innermost command that they lead to; ``None`` after an unknown verb.
    The session gets the global flags."""
    command: click.Command = program
    ctx: click.Context | None = None
    while True:
        ctx = command.make_context(command.name, list(words), parent=ctx, obj=session, resilient_parsing=True)
        options, rest, _ = command.make_parser(ctx).parse_args([*_spelled(command, ctx, words), HERE])
        for param in command.get_params(ctx):
            value = options.get(param.name or "")
            if value == HERE:
                return _Place(ctx, param, tuple(words))
            if isinstance(value, tuple | list) and HERE in value:
                return _Place(ctx, param, tuple(words), list(value).index(HERE))
        if not isinstance(command, click.Group) or rest[:1] in ([], [HERE]):
            return _Place(ctx, None, tuple(words))
        found = command.get_command(ctx, rest[0])
        if found is None:
            return None
        command, words = found, rest[1:-1]


def _spelled(command: click.Command, ctx: click.Context, words: Sequence[str]) -> list[str]:
    if isinstance(command, Shaped):
        return spell_flags(command.get_params(ctx), words, mixed=command.allow_interspersed_args)
    return list(words)


# ---------------------------------------------------------------- what can stand there


def _flags(ctx: click.Context) -> Items:
    """The flags of a command by the names that people type; ``--f`` beside ``-f`` is left out."""
    for param in ctx.command.get_params(ctx):
        if isinstance(param, click.Option) and not param.hidden:
            for name in param.opts:
                if not is_long_letter(name):
                    yield CompletionItem(name, help=param.help)


def _words(place: _Place, current: str) -> Items:
    """Verbs, or what an argument can be; what was given already is left out."""
    if place.param is not None:
        given = set(place.words)
        yield from (item for item in _values(place, place.param, current) if item.value not in given)
    elif isinstance(place.ctx.command, click.Group):
        yield from place.ctx.command.shell_complete(place.ctx, current)


def _values(place: _Place, param: click.Parameter, current: str) -> Items:
    """Values of a flag or an argument: choices, and else what its metavar names."""
    if isinstance(param, Flag):
        yield from map(CompletionItem, ("true", "false"))
        return
    kinds = (param.metavar or param.name or "").upper()
    first, *more = kinds.split()
    if place.index and more:
        return  # the command of ssh MACHINE COMMAND...
    for item in param.shell_complete(place.ctx, current):
        if item.type == "plain":
            yield item
        else:
            yield from _lenient(_paths, place, current)
    for kind in first.strip("{}[].").split("|"):
        if source := _SOURCES.get(kind):
            yield from _lenient(source, place, current)


def _lenient(source: Callable[[_Place, str], Items], place: _Place, current: str) -> Items:
    # Whatever is wrong with a file is told by the verb that needs it; here it only gives no names.
    try:
        yield from list(source(place, current))
    except Exception:
        return


# ---------------------------------------------------------------- units and machines


def _units(place: _Place, current: str) -> Items:
    verb = place.ctx.command.name
    if verb in FROM_FILES | ONLY_FILES:
        yield from _lenient(_unit_files, place, current)
    if verb not in ONLY_FILES:
        yield from _lenient(_stored_units, place, current)


def _unit_files(place: _Place, current: str) -> Items:
    """Local unit files, and the folders in which there may be some."""
    return (item for item in _paths(place, current) if item.value.endswith(("/", *SUFFIXES)))


def _stored_units(place: _Place, _current: str) -> Items:
    session = place.ctx.ensure_object(Session)
    if session.has_store():
        for name, wanted in sorted(session.store.load().wanted.items()):
            yield CompletionItem(name, help=wanted.target.value)


def _machines(place: _Place, current: str) -> Items:
    if (parent := place.ctx.parent) and parent.command.name == "lab":
        yield from _lenient(_lab_machines, place, current)
    else:
        yield from _lenient(_hosts, place, current)
        if current:  # nobody chooses among ids before typing the beginning of one
            yield from _lenient(_ids, place, current)


def _hosts(place: _Place, _current: str) -> Items:
    from fleetssh.inventory import load_inventory

    for host in load_inventory(place.ctx.ensure_object(Session).inventory_path()).hosts:
        yield CompletionItem(host.name, help=host.address)


def _ids(place: _Place, _current: str) -> Items:
    from fleetssh.core.identity import is_ghost

    session = place.ctx.ensure_object(Session)
    if session.has_store():
        for record in filterfalse(is_ghost, session.store.machines().values()):
            yield CompletionItem(record.machine_id, help=record.host)


def _lab_machines(place: _Place, _current: str) -> Items:
    from fleetssh.lab.ledger import Ledger
    from fleetssh.lab.places import lab_folder

    given = place.ctx.params
    for entry in Ledger(given.get("folder") or lab_folder(given["name"])).read_machines():
        yield CompletionItem(entry.name)


# ---------------------------------------------------------------- files


def _paths(_: _Place, current: str) -> Items:
    """Files and, with a ``/``, folders that begin with ``current``; hidden ones only when asked for."""
    folder, slash, start = current.rpartition("/")
    where = Path(folder + slash).expanduser()
    for path in sorted(where.iterdir()):
        hidden = path.name.startswith(".") and not start
        if path.name.startswith(start) and path.name.isprintable() and not hidden:
            yield CompletionItem(folder + slash + path.name + ("/" if path.is_dir() else ""))


def _verbs(place: _Place, current: str) -> Items:
    """Commands, and behind one that has commands of its own, those."""
    ctx = place.ctx.find_root()
    for word in place.words:
        found = ctx.command.get_command(ctx, word) if isinstance(ctx.command, click.Group) else None
        if found is None:
            return
        ctx = click.Context(found, parent=ctx)
    if isinstance(ctx.command, click.Group):
        yield from ctx.command.shell_complete(ctx, current)


_SOURCES: dict[str, Callable[[_Place, str], Items]] = {
    "UNIT": _units,
    "MACHINE": _machines,
    "ID": _machines,
    "PATH": _paths,
    "COMMAND": _verbs,
}
"""By metavar, which says in every help text what a value is."""
