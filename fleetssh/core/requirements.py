"""Requirements: what the ``[X-Fleet]`` section of a unit file asks of the machine that runs the unit."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from fleetssh.core.errors import UnitError
from fleetssh.core.excerpts import excerpt, shorten
from fleetssh.core.leases import read_lease
from fleetssh.core.model import Requirements, Unit
from fleetssh.core.names import compile_glob, expand, glob_matches, is_template, validate_name
from fleetssh.core.unitfile import MAX_LINE, Option, UnitFile, locate, parse, unfold

SECTION = "X-Fleet"

KEYS = {
    "MachineID": "MachineID",
    "X-ConditionMachineID": "MachineID",
    "X-ConditionMachineBootID": "MachineID",
    "X-ConditionMachineOf": "MachineOf",
    "MachineOf": "MachineOf",
    "X-ConditionMachineMetadata": "MachineMetadata",
    "MachineMetadata": "MachineMetadata",
    "X-Conflicts": "Conflicts",
    "Conflicts": "Conflicts",
    "Replaces": "Replaces",
    "Global": "Global",
    "Lease": "Lease",
}
"""Every key of ``[X-Fleet]`` and the key that it means. fleet read the aliases of one key in this order."""

CONTRADICTIONS = (
    ("MachineID", "MachineOf"),
    ("MachineID", "Conflicts"),
    ("MachineID", "Global"),
    ("MachineID", "Replaces"),
    ("Global", "MachineOf"),
    ("Global", "Replaces"),
    ("Conflicts", "Replaces"),
)
"""Keys that cannot be used together, in the order in which fleet checked them."""

MAX_VALUES = 1000
"""Values in one ``[X-Fleet]`` section. A unit has a handful; peers and patterns are compared one by one."""

TRUE_WORDS = frozenset({"true", "yes", "1", "on", "t"})
FALSE_WORDS = frozenset({"false", "no", "0", "off", "f"})

# A quote left in a pair or a pattern means that the line was not quoted value by value.
_PAIR = re.compile(r"""([^\s"'=]+)=([^\s"=](?:[^"=]*[^\s"=])?)""")
_STRANGE_IN_PATTERN = re.compile(r"[^0-9a-zA-Z:\-_.\\@*?\[\]^]")


# ---------------------------------------------------------------- the whole file


def read_unit(name: str, text: bytes, source: str = "") -> Unit:
    """The unit ``name`` with the file ``text``; ``source`` is the file that mistakes are reported against.

    Raises ``UnitError`` for an invalid name, a file that cannot be parsed or has no option at all, and
    for requirements that ``read_requirements`` refuses.
    """
    validate_name(name)
    source = source or name
    file = parse(text, source)
    if not file.options:
        raise UnitError("unit has no options", source, hint="a service needs [Service] and ExecStart=")
    description = file.first("Unit", "Description")
    return Unit(
        name=name,
        text=text,
        hash=file.hash,
        digest=file.digest,
        description=None if description is None else unfold(description),
        requirements=read_requirements(file, name, source),
        installs=any(option.section == "Install" for option in file.options),
        bound_to=_read_bound_to(file, name),
    )


def _read_bound_to(file: UnitFile, name: str) -> tuple[str, ...]:
    values = file.values("Unit", "BindsTo") + file.values("Unit", "Requires")
    return _distinct(word for value in values for word in expand(unfold(value), name).split())


def read_requirements(file: UnitFile, name: str, source: str = "") -> Requirements:
    """The requirements of the unit ``name``, specifiers expanded (in a template: with an empty instance).

    Raises ``UnitError`` with ``source`` and line. Stricter than fleet, which ignored unknown keys and
    malformed metadata pairs, globs and ``Global=`` words, and left a unit with an impossible ``MachineID=``
    or ``MachineOf=`` waiting for ever. Combinations are refused as by fleet, in its order. What depends on
    the instance is not judged in a template, but in each of its instances.
    """
    values = _read_values(file, name, source)
    for value in values:
        _check(value, name, source)
    settled = [value for value in values if not value.is_open]
    _check_peers(settled, "Conflicts", source)
    _check_peers(settled, "Replaces", source)
    _check_contradictions(values, source)
    return Requirements(
        machine_id=next(iter(_texts(_by_alias(values, "MachineID"))), None),
        machine_of=_texts(_by_alias(values, "MachineOf")),
        metadata=_metadata(values),
        conflicts=_texts(_of_key(values, "Conflicts")),
        replaces=_texts(_of_key(values, "Replaces")),
        is_global=bool(_truths(values)),
        lease=_lease(values),
    )


# ---------------------------------------------------------------- from lines to values


@dataclass(frozen=True, slots=True)
class _Value:
    """One value of ``[X-Fleet]``, specifiers expanded.

    ``alias`` is its key as written, ``key`` what that means. ``is_open`` marks a value of a template that
    each instance completes: it cannot be judged yet.
    """

    alias: str
    key: str
    text: str
    line: int
    is_open: bool


def split_values(value: str) -> tuple[str, ...]:
    """The values of one ``[X-Fleet]`` line, by fleet's rule.

    Only what begins and ends with a double quote is a list: ``"`` switches quoting and is dropped, a space
    outside quotes ends a value. Anything else is one value, unchanged.
    """
    if not (value.startswith('"') and value.endswith('"')):
        return (value,)
    words: list[list[str]] = [[]]
    for index, part in enumerate(value.split('"')):
        # Before the first quote, after the second and so on a space ends a value.
        first, *others = [part] if index % 2 else part.split(" ")
        words[-1].append(first)
        words += ([other] for other in others)
    return tuple("".join(parts) for parts in words)


def _read_values(file: UnitFile, name: str, source: str) -> list[_Value]:
    values: list[_Value] = []
    for option in file.options:
        where = locate(source, option.line)
        if option.section == SECTION:
            values.extend(_read_line(option, name, where))
        elif option.section.strip().lower() == SECTION.lower():
            section = excerpt(option.section)
            raise UnitError(f"section [{section}] means nothing", where, hint=f"write [{SECTION}]")
        if len(values) > MAX_VALUES:
            raise UnitError(f"more than {MAX_VALUES} values in [{SECTION}]", where)
    return values


def _read_line(option: Option, name: str, where: str) -> list[_Value]:
    """The values of one line in file order; ``Conflicts=`` and ``Replaces=`` without a pattern have none."""
    if option.name not in KEYS:
        raise _unknown_key(option.name, where)
    key = KEYS[option.name]
    values: list[_Value] = []
    # Two spaces between quotes give an empty value, which nobody means.
    for raw in tuple(filter(None, split_values(unfold(option.value)))) or ("",):
        is_open = is_template(name) and any(specifier in raw for specifier in ("%i", "%n", "%N"))
        text = expand(raw, name)
        texts = text.split(maxsplit=MAX_VALUES + 1) if key == "Conflicts" else [text]
        values += (_Value(option.name, key, text, option.line, is_open) for text in texts)
    return [value for value in values if value.text or key != "Replaces"]


def _unknown_key(key: str, where: str) -> UnitError:
    by_lower_case = {known.lower(): known for known in KEYS}
    close = difflib.get_close_matches(key.lower(), by_lower_case, n=1)
    known = " ".join(_distinct(KEYS.values()))
    hint = f"did you mean {by_lower_case[close[0]]}?" if close else f"known: {known}"
    return UnitError(f'unrecognized requirement in [{SECTION}] section: "{excerpt(key)}"', where, hint)


# ---------------------------------------------------------------- is one value sound


def _check(value: _Value, name: str, source: str) -> None:
    if value.is_open:
        return
    try:
        match value.key:
            case "MachineMetadata":
                _check_pair(value.text)
            case "Global":
                _check_word(value.text)
            case "Lease":
                _check_lease(value.text)
            case "MachineOf":
                _check_peer(value.text, name)
            case "MachineID":
                _check_machine_id(value.text)
            case _:
                _check_pattern(value.text)
    except UnitError as error:
        raise UnitError(f"{value.alias}: {error.reason}", locate(source, value.line), error.hint) from None


def _check_pair(pair: str) -> None:
    if not _PAIR.fullmatch(pair):
        raise UnitError(
            f"{shorten(pair)!r} is not one key=value pair",
            hint='quote each pair: MachineMetadata="a=b" "c=d"',
        )


def _check_word(word: str) -> None:
    if word.lower() not in TRUE_WORDS | FALSE_WORDS:
        raise UnitError(
            f"{shorten(word)!r} is neither true nor false", hint="write Global=true or Global=false"
        )


def _check_lease(text: str) -> None:
    try:
        read_lease(text)
    except ValueError as error:
        raise UnitError(str(error), hint="write Lease=30, or Lease=0 for none") from None


def _check_machine_id(machine_id: str) -> None:
    if not machine_id:
        raise UnitError("no machine has an empty id", hint="remove the line, or see: fleetssh list-machines")


def _check_peer(peer: str, name: str) -> None:
    """A peer must be a unit that could be placed: a valid name, neither a template nor ``name`` itself."""
    try:
        validate_name(peer)
    except UnitError as error:
        words = " ".join(f'"{word}"' for word in peer.split())
        hint = f"quote each name: MachineOf={excerpt(words)}" if " " in peer else error.hint
        raise UnitError(error.reason, hint=hint) from None
    if is_template(peer):
        raise UnitError(f"{peer} is a template and runs nowhere", hint="name one of its instances")
    if peer == name:
        raise UnitError("a unit cannot be required beside itself", hint="name another unit")


def _check_pattern(pattern: str) -> None:
    if len(pattern) > MAX_LINE:
        raise UnitError(f"pattern too long: {len(pattern)} characters, at most {MAX_LINE}")
    if strange := _STRANGE_IN_PATTERN.search(pattern):
        raise UnitError(
            f"{shorten(pattern)!r} can match no unit name: invalid character {strange[0]!r}",
            hint='quote each pattern: "a.service" "b@*.service"',
        )
    if compile_glob(pattern) is None:
        raise UnitError(
            f"malformed pattern {shorten(pattern)!r}", hint=r"close every [, and write \[ for the character"
        )


# ---------------------------------------------------------------- do the values go together


def _check_peers(values: list[_Value], key: str, source: str) -> None:
    for peer in _of_key(values, "MachineOf"):
        for pattern in _of_key(values, key):
            if glob_matches(pattern.text, peer.text):
                raise UnitError(
                    f"unresolvable requirements: MachineOf {peer.text} matches {key} {shorten(pattern.text)}",
                    locate(source, max(peer.line, pattern.line)),
                    hint=f"change {peer.alias} (line {peer.line}) or {pattern.alias} (line {pattern.line})",
                )


def _check_contradictions(values: list[_Value], source: str) -> None:
    used = {key: _truths(values) if key == "Global" else _of_key(values, key) for key in KEYS.values()}
    for one, other in CONTRADICTIONS:
        if used[one] and used[other]:
            first, second = used[one][0], used[other][0]
            # fleet's word for the units of MachineOf is kept in its message
            raise UnitError(
                f"{one} cannot be used with {'Peers' if other == 'MachineOf' else other}",
                locate(source, max(first.line, second.line)),
                hint=f"remove {first.alias} (line {first.line}) or {second.alias} (line {second.line})",
            )


# ---------------------------------------------------------------- from values to requirements


def _of_key(values: list[_Value], key: str) -> list[_Value]:
    return [value for value in values if value.key == key]


def _by_alias(values: list[_Value], key: str) -> list[_Value]:
    """The values that mean ``key``, those of one alias after those of another, in fleet's order."""
    return [value for alias in KEYS if KEYS[alias] == key for value in values if value.alias == alias]


def _truths(values: list[_Value]) -> list[_Value]:
    """The ``Global=`` line that makes the unit global, if there is one: the last word counts."""
    return [value for value in _of_key(values, "Global")[-1:] if value.text.lower() in TRUE_WORDS]


def _lease(values: list[_Value]) -> int | None:
    """The last word counts; an open value of a template says nothing yet."""
    return next((read_lease(v.text) for v in reversed(_of_key(values, "Lease")) if not v.is_open), None)


def _metadata(values: list[_Value]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    allowed: dict[str, list[str]] = {}
    for value in _of_key(values, "MachineMetadata"):
        if pair := _PAIR.fullmatch(value.text):  # a template's open pair may not be one yet
            allowed.setdefault(pair[1], []).append(pair[2])
    return tuple((key, _distinct(allowed[key])) for key in sorted(allowed))


def _texts(values: list[_Value]) -> tuple[str, ...]:
    """The texts without duplicates; an open value of a template may still be empty and is left out."""
    return _distinct(value.text for value in values if value.text)


def _distinct(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
