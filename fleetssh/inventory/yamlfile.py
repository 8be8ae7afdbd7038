"""One YAML file as nodes that know their line, and the few readings of nodes that an inventory needs."""

from __future__ import annotations

import enum
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleetssh.core.errors import InventoryError
from fleetssh.core.excerpts import excerpt

try:
    # libyaml reads an inventory of 1,000 hosts about four times faster; the result is the same.
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

# An inventory needs about ten levels; libyaml's loader crashes the process on some ten thousand.
MAX_DEPTH = 100

MAX_BYTES = 16 * 1024 * 1024
"""An inventory of 10,000 hosts has about 3 MB; whatever has more is none."""

MAX_NODES = 1_000_000
"""Values, each counted as often as aliases repeat it: a page of aliases of aliases can mean more values than
there are atoms. 10,000 hosts with ten variables each have 200,000."""

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_VAULT_HEADER = "$ANSIBLE_VAULT;"


class Kind(enum.StrEnum):
    """What a YAML value is, in the words of an error message."""

    TEXT = "text"
    NUMBER = "a number"
    TRUTH = "true or false"
    NOTHING = "nothing"
    DATE = "a date"
    LIST = "a list"
    MAPPING = "a mapping"
    OTHER = "a tagged value"


_SCALARS = {
    _TAG + "str": Kind.TEXT,
    _TAG + "value": Kind.TEXT,
    _TAG + "int": Kind.NUMBER,
    _TAG + "float": Kind.NUMBER,
    _TAG + "bool": Kind.TRUTH,
    _TAG + "null": Kind.NOTHING,
    _TAG + "timestamp": Kind.DATE,
}


class _Loader(SafeLoader):
    """A safe loader that refuses deep nesting: the resolver's two calls come with every node."""

    depth = 0

    def descend_resolver(self, current_node: Node | None, current_index: object) -> None:  # noqa: ARG002
        self.depth += 1
        if self.depth > MAX_DEPTH and current_node is not None:
            where = f"{current_node.start_mark.name}:{current_node.start_mark.line + 1}"
            raise InventoryError(f"nested too deeply; expected at most {MAX_DEPTH} levels", where)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class Pair(NamedTuple):
    """One ``key: value`` of a mapping; ``key`` is the text as written, ``where`` its ``file:line``."""

    key: str
    key_kind: Kind
    where: str
    value: Node | None


def compose(path: Path) -> Node | None:
    """The only document of a file, ``None`` when it is empty.

    Raises ``InventoryError`` when the file is not YAML, nested deeper than ``MAX_DEPTH``, or too large.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InventoryError(f"larger than {MAX_BYTES} bytes; that is no inventory", str(path))
    stream = io.BytesIO(data)
    stream.name = str(path)  # what the library calls the file in its marks
    try:
        node: Node | None = yaml.compose(stream, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _syntax_error(path, data, error) from error
    if node is not None and b"*" in data and _count(node, {}) > MAX_NODES:
        raise InventoryError(f"its aliases repeat more than {MAX_NODES} values", str(path))
    return node


def _count(node: Node, known: dict[int, int]) -> int:
    """The values in ``node``, each as often as an alias repeats it."""
    if id(node) not in known:
        known[id(node)] = 1  # for a node inside itself, which is told by whoever walks there
        parts = itertools.chain(*node.value) if isinstance(node, MappingNode) else node.value
        if not isinstance(node, ScalarNode):
            known[id(node)] += sum(_count(part, known) for part in parts)
    return known[id(node)]


def _syntax_error(path: Path, data: bytes, error: yaml.YAMLError) -> InventoryError:
    hint = "look at this line and the one before: indentation, a missing colon, an open quote"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        context = f" ({error.context})" if error.context else ""
        if error.context and error.context_mark is not None:
            # An open quote is noticed at the end of the file only.
            context = f" ({error.context}, from line {error.context_mark.line + 1})"
        where = f"{path}:{error.problem_mark.line + 1}"
        return InventoryError(f"not valid YAML: {excerpt(str(error.problem))}{context}", where, hint)
    if isinstance(error, yaml.reader.ReaderError):
        line = data[: error.position].count(b"\n") + 1
        message = f"not valid YAML: a character that YAML does not allow ({excerpt(error.reason)})"
        return InventoryError(message, f"{path}:{line}", "save the file as UTF-8 without control characters")
    return InventoryError(f"not valid YAML: {excerpt(str(error))}", str(path), hint)


def kind_of(node: Node | None) -> Kind:
    """What the value is; ``None`` is nothing."""
    if isinstance(node, ScalarNode):
        return _SCALARS.get(node.tag, Kind.OTHER)
    if isinstance(node, SequenceNode):
        return Kind.LIST
    return Kind.NOTHING if node is None else Kind.MAPPING


def text_of(node: Node | None) -> str:
    """The text of a scalar as it is written in the source (quotes removed); empty for anything else."""
    return str(node.value) if isinstance(node, ScalarNode) else ""


def is_vault(node: Node | None) -> bool:
    """True for a file that was encrypted as a whole by Ansible Vault."""
    return text_of(node).startswith(_VAULT_HEADER)


def read_mapping(node: Node | None, title: str, expected: str, where: str, hint: str = "") -> list[Pair]:
    """The pairs of a mapping in the order of the file, merge keys (``<<``) resolved; none for nothing.

    Raises ``InventoryError`` for another kind of value and for a key that is there twice.
    """
    kind = kind_of(node)
    if kind is Kind.NOTHING:
        return []
    if not isinstance(node, MappingNode):
        raise InventoryError(f"{title} is {kind}; expected {expected}", where, hint)
    own: dict[str, Pair] = {}
    inherited: dict[str, Pair] = {}
    for key_node, value in node.value:
        if key_node.tag == _MERGE:
            for pair in _merged(value, title, where):
                inherited.setdefault(pair.key, pair)
            continue
        pair = _pair(key_node, value, title)
        if pair.key in own:
            first = own[pair.key].where
            message = (
                f"`{excerpt(pair.key)}` is there twice in {title} (first at {first}); expected each key once"
            )
            raise InventoryError(message, pair.where, "join the two, or delete one")
        own[pair.key] = pair
    return [pair for pair in inherited.values() if pair.key not in own] + list(own.values())


def _pair(key_node: Node, value: Node, title: str) -> Pair:
    where = f"{key_node.start_mark.name}:{key_node.start_mark.line + 1}"
    if not isinstance(key_node, ScalarNode):
        raise InventoryError(f"a key in {title} is {kind_of(key_node)}; expected text", where)
    return Pair(str(key_node.value), kind_of(key_node), where, value)


def _merged(value: Node, title: str, where: str) -> Iterator[Pair]:
    """The pairs that ``<<: *anchor`` or ``<<: [*a, *b]`` brings in; of two equal keys the first counts."""
    sources = value.value if isinstance(value, SequenceNode) else [value]
    for source in sources:
        yield from read_mapping(source, f"`<<` in {title}", "a mapping or a list of mappings", where)
