"""Finding the machines that a verb is about, from the store alone: by unit, glob, id prefix or host name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleetssh.cli.progress import progress
from fleetssh.cli.session import Session
from fleetssh.control.unitfiles import is_glob
from fleetssh.core.errors import CommandError
from fleetssh.core.identity import is_ghost
from fleetssh.core.model import MachineRecord, State, TargetState
from fleetssh.core.names import glob_matches, mangle
from fleetssh.core.sighting import Reached
from fleetssh.inventory import Host

PREFIX = "Unable to proceed: "


@dataclass(frozen=True, slots=True)
class Home:
    """A machine that a unit is on."""

    host: Host
    legend: str


def homes_of(
    session: Session, state: State, name: str, records: Mapping[str, MachineRecord] | None = None
) -> tuple[Home, ...]:
    """The machines that a stored unit is on, by id: several for a global unit, none when it is nowhere.

    Whoever asks for many units reads the ``records`` of the store once. Raises CommandError when its machine
    was never seen, or is no longer in the inventory.
    """
    records = session.store.machines() if records is None else records
    if state.wanted[name].unit.requirements.is_global:
        chosen = [r for r in records.values() if not r.lost and any(seen.name == name for seen in r.seen)]
    else:
        placement = state.placements.get(name)
        if placement is None or state.wanted[name].target is TargetState.INACTIVE:
            return ()
        chosen = [r for r in records.values() if r.machine_id == placement.machine]
        if not chosen:
            raise CommandError(
                f"Unit {name} belongs on machine {placement.machine[:8]}..., which is not known any more",
                hint="'fleetssh reconcile' gives it another machine",
            )
    chosen.sort(key=lambda record: record.machine_id)
    return tuple(Home(session.host(record.host), _legend(record)) for record in chosen)


def _legend(record: MachineRecord) -> str:
    return f"{record.machine_id[:8]}.../{record.address}"


def find_homes(
    session: Session, state: State, arguments: Sequence[str], only: Sequence[Host] = ()
) -> dict[str, tuple[Home, ...]]:
    """Each stored unit that the arguments name (globs work), and the machines that it is on; with ``only``,
    those among them.

    Raises CommandError, telling of every argument that is wrong: it names no unit, or one that is nowhere. A
    glob passes over units that are nowhere, unless all are.
    """
    records = session.store.machines()
    found: dict[str, tuple[Home, ...]] = {}
    wrong = []
    for argument in arguments:
        try:
            found |= _homes_by_unit(session, state, argument, only, records)
        except CommandError as error:
            wrong.append(error)
    if wrong:
        raise CommandError(
            "\n".join(dict.fromkeys(error.message for error in wrong)),
            hint=next((error.hint for error in wrong if error.hint), ""),
        )
    return found


def _homes_by_unit(
    session: Session,
    state: State,
    argument: str,
    only: Sequence[Host],
    records: Mapping[str, MachineRecord],
) -> dict[str, tuple[Home, ...]]:
    name = mangle(argument)
    hits = [n for n in sorted(state.wanted) if (glob_matches(name, n) if is_glob(name) else n == name)]
    if not hits:
        raise CommandError(f"No unit matches {name}." if is_glob(name) else f"Unit {name} does not exist.")
    found = {hit: homes_of(session, state, hit, records) for hit in hits}
    if not any(found.values()):
        what = f"No unit that {name} matches appears" if is_glob(name) else f"Unit {name} does not appear"
        raise CommandError(f"{what} to be running.")
    if only:
        found = {hit: tuple(home for home in homes if home.host in only) for hit, homes in found.items()}
        if not any(found.values()):
            machines = " or ".join(host.name for host in only)
            raise CommandError(
                f"{name} is not on {machines}.", hint="'fleetssh list-units' shows what is where"
            )
    return {hit: homes for hit, homes in found.items() if homes}


def find_machine(session: Session, word: str) -> Host | None:
    """The machine called ``word`` in the inventory, or whose id begins with it; ``None`` for none.

    Machines that were never seen are asked for their ids, but only when no other one fits. Raises
    CommandError when several fit.
    """
    for host in session.inventory.hosts:
        if host.name == word:
            return host
    if not word:
        return None
    records = session.store.machines()
    found = [name for name, r in records.items() if r.machine_id.startswith(word) and not is_ghost(r)]
    found = found or _ask(session, word, known=set(records))
    if len(found) > 1:
        raise CommandError(
            f"{PREFIX}found more than one machine", hint=f"they are: {' '.join(sorted(found))}"
        )
    return session.host(found[0]) if found else None


def _ask(session: Session, word: str, known: set[str]) -> list[str]:
    from fleetssh.control.survey import look_at

    unknown = {host.name for host in session.inventory.hosts} - known
    if not unknown or not set(word) <= set("0123456789abcdef"):
        return []
    with progress(session.cluster, "to learn their ids", hosts=len(unknown)) as cluster:
        seen = look_at(cluster, unknown)
    return [
        host for host, s in seen.items() if isinstance(s, Reached) and s.facts.machine_id.startswith(word)
    ]


def find_unit_host(session: Session, word: str) -> Host | None:
    """The machine of the unit that ``word`` names; ``None`` when there is no such unit.

    Raises CommandError for a global unit, and for one that is on no machine.
    """
    state = session.store.load()
    name = mangle(word)
    if name not in state.wanted:
        return None
    if state.wanted[name].unit.requirements.is_global:
        raise CommandError(f"{PREFIX}global units unsupported", hint="name a machine: fleetssh list-machines")
    homes = homes_of(session, state, name)
    if not homes:
        raise CommandError("Could not determine address of machine.", hint=f"{name} is on no machine")
    return homes[0].host


def find_target(
    session: Session, words: tuple[str, ...], machine: str, unit: str
) -> tuple[Host, tuple[str, ...]]:
    """Where ``ssh`` goes, and the words of the command (fleet 1.13). Raises CommandError."""
    if machine and unit:
        raise CommandError(f"{PREFIX}give --machine or --unit, not both")
    if machine:
        return _or_fail(find_machine(session, machine), "machine does not exist"), words
    if unit:
        return _or_fail(find_unit_host(session, unit), "unit does not exist"), words
    if not words:
        raise CommandError(f"{PREFIX}one machine or unit must be provided")
    by_machine = find_machine(session, words[0])
    if by_machine is None:
        return _or_fail(find_unit_host(session, words[0]), "could not find matching unit or machine"), words[
            1:
        ]
    if mangle(words[0]) in session.store.load().wanted:
        raise CommandError(
            f"{PREFIX}ambiguous argument, both machine and unit found for `{words[0]}`",
            hint="use --machine or --unit",
        )
    return by_machine, words[1:]


def find_machines(session: Session, words: Sequence[str]) -> tuple[Host, ...]:
    """The machines that ``--machine`` options name. Raises CommandError for a word that names none."""
    return tuple(_or_fail(find_machine(session, word), f"no machine is called {word}") for word in words)


def _or_fail(host: Host | None, reason: str) -> Host:
    if host is None:
        raise CommandError(
            f"{PREFIX}{reason}", hint="'fleetssh list-machines' and 'list-units' show what there is"
        )
    return host
