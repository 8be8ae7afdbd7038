"""Values to rows of the SQLite state file and back: what comes back equals what went in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fleetssh.core import codec
from fleetssh.core.model import MachineRecord, Requirements, TargetState, Unit, Wanted
from fleetssh.core.names import validate_name

Row = tuple[Any, ...]

UNIT_COLUMNS = "name, digest, target, generation, hash, description, requirements, installs, bound_to"
MACHINE_COLUMNS = (
    "host, machine_id, boot_id, address, metadata, last_good, silent_since, missed, failure, lost, seen, "
    "uptime, read_at, armed_at, way"
)


def wanted_of(rows: Iterable[Row], texts: Mapping[str, bytes]) -> dict[str, Wanted]:
    """Return the wanted units of rows of ``UNIT_COLUMNS``, by name; ``texts`` maps digest -> bytes.

    Raises ``StoreError``, ``UnitError``, ``ValueError`` or ``KeyError`` for what no unit makes.
    """
    requirements: dict[str, Requirements] = {}  # decoded once each: most units say the same
    bound: dict[str, tuple[str, ...]] = {}
    wanted = {}
    for name, digest, target, generation, hash_, description, demands, installs, bound_to in rows:
        if demands not in requirements:
            requirements[demands] = codec.decode_requirements(demands)
        if bound_to not in bound:
            bound[bound_to] = codec.decode_names(bound_to)
        validate_name(name)
        unit = Unit(
            name=name,
            text=texts[digest],
            hash=hash_,
            digest=digest,
            description=description,
            requirements=requirements[demands],
            installs=bool(installs),
            bound_to=bound[bound_to],
        )
        wanted[name] = Wanted(unit, TargetState(target), generation)
    return wanted


def unit_row(want: Wanted) -> Row:
    """Return the ``UNIT_COLUMNS`` of a unit."""
    unit = want.unit
    return (
        unit.name,
        unit.digest,
        want.target.value,
        want.generation,
        unit.hash,
        unit.description,
        codec.encode_requirements(unit.requirements),
        unit.installs,
        codec.encode_names(unit.bound_to),
    )


def machine_row(record: MachineRecord, before: tuple[MachineRecord, Row] | None = None) -> Row:
    """Return the ``MACHINE_COLUMNS`` of a record; documents of the record ``before`` that are still the same
    are taken from its row, because making them is most of the work."""
    known, row = before or (None, ())
    if known is None or (known.metadata, known.seen, known.way) != (record.metadata, record.seen, record.way):
        metadata, way = codec.encode_metadata(record.metadata), codec.encode_metadata(record.way)
        seen = codec.encode_seen(record.seen)
    else:
        metadata, seen, way = row[4], row[10], row[14]
    return (
        record.host,
        record.machine_id,
        record.boot_id,
        record.address,
        metadata,
        record.last_good,
        record.silent_since,
        record.missed,
        record.failure,
        record.lost,
        seen,
        record.uptime,
        record.read_at,
        record.armed_at,
        way,
    )


def machine_of(row: Row) -> MachineRecord:
    """Return the record of ``MACHINE_COLUMNS``. Raises ``StoreError``, ``ValueError`` for what none makes."""
    (host, machine_id, boot_id, address, metadata, last_good, silent_since, missed, failure, lost, seen,
     uptime, read_at, armed_at, way) = row  # fmt: skip
    return MachineRecord(
        host=host,
        machine_id=machine_id,
        boot_id=boot_id,
        address=address,
        metadata=codec.decode_metadata(metadata),
        last_good=last_good,
        silent_since=silent_since,
        missed=missed,
        failure=failure,
        lost=bool(lost),
        seen=codec.decode_seen(seen),
        uptime=uptime,
        read_at=read_at,
        armed_at=armed_at,
        way=codec.decode_metadata(way),
    )
