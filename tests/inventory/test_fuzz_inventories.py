"""Whatever an inventory holds: hosts that are fit to be connected to, or an error with its file and line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import InventoryError
from fleetssh.inventory import Inventory, load_inventory
from tests.fuzzing import check_answer, fuzz

ROOT = Path(__file__).parents[2]
SAMPLES = [path.read_bytes() for path in sorted((ROOT / "inventories").rglob("*.yml"))]

WORDS = st.sampled_from(
    [
        *("all", "hosts", "children", "vars", "web", "m1", "m[1:3]", "m1:22", "[::1]:22", "ungrouped", "<<"),
        *("ansible_host", "ansible_port", "ansible_user", "ansible_become", "ansible_group_priority"),
        *(
            "ansible_ssh_private_key_file",
            "fleet_known_hosts",
            "fleet_metadata",
            "fleet_other",
            "ansible_password",
        ),
        *(
            "true",
            "~",
            "22",
            "2026-01-01",
            "1.5",
            "0o17",
            "{{ x }}",
            "~nobody/key",
            "a=b",
            "fleet.arch",
            "-x",
        ),
        *("$(reboot)", "`x`", "a;b", "a\nb", "a\x1b[31m", "\u2028", "\x85", "é", "😀", " ", "", "x" * 300),
    ]
)
MARKUP = st.sampled_from(
    [
        *(
            ":",
            ": ",
            "\n",
            "\n  ",
            "\n    ",
            "\n- ",
            "- ",
            "? ",
            ", ",
            "{",
            "}",
            "[",
            "]",
            "&a ",
            "*a",
            "!!str ",
        ),
        *(
            "!vault |\n",
            "!!binary ",
            "!x ",
            "|\n",
            ">-\n",
            "#",
            "'",
            '"',
            "\\",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
        ),
        *("\t", "\r\n", "\r", "\0", "\ufeff", "\ufffe", "<<: *a", "$ANSIBLE_VAULT;1.1;AES256\n", "[" * 120),
    ]
)
BROKEN = st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xff\xfea\0", b"\xfe\xff\0a"])
BYTES = st.lists((WORDS | MARKUP).map(str.encode) | BROKEN | st.binary(max_size=4), max_size=40).map(b"".join)

SCALARS = WORDS | st.text(max_size=8) | st.integers(-1, 70000) | st.booleans() | st.none() | st.floats()
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def meddled(draw: st.DrawFn) -> bytes:
    """A sound inventory with some of its text cut out, doubled or overwritten."""
    text = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 30)))
        text[at:end] = draw(
            (WORDS | WORDS | MARKUP).map(str.encode) | BROKEN | st.just(bytes(text[at:end]) * 2)
        )
    return bytes(text)


@st.composite
def rebuilt(draw: st.DrawFn) -> bytes:
    """A sound inventory's tree with values exchanged for others, well-formed YAML again."""
    tree = yaml.safe_load(draw(st.sampled_from(SAMPLES))) or {}
    for _ in range(draw(st.integers(1, 3))):
        here: Any = tree
        while isinstance(here, dict) and here:
            key = draw(st.sampled_from(sorted(here, key=str)))
            if draw(st.booleans()) or not isinstance(here[key], dict):
                value = here.pop(key)
                here[draw(WORDS | st.just(key))] = draw(TREES | st.just(value))
                break
            here = here[key]
    return yaml.safe_dump(tree, allow_unicode=draw(st.booleans())).encode("utf-8", "surrogatepass")


def load(folder: Path, file: bytes, variables: bytes) -> Inventory | None:
    """What the files give; ``None`` for an error, which was a good one."""
    (folder / "hosts.yml").write_bytes(file)
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_bytes(variables)
    try:
        return load_inventory(folder / "hosts.yml")
    except InventoryError as error:
        at_fault = "group_vars/all.yml" if "group_vars" in error.where else "hosts.yml"
        check_answer(error, str(folder / at_fault))
        return None


VARIABLES = st.just(b"") | BYTES | TREES.map(lambda tree: yaml.safe_dump(tree).encode())


@fuzz
@given(meddled() | rebuilt() | BYTES | TREES.map(lambda tree: yaml.safe_dump(tree).encode()), VARIABLES)
def test_fuzz_any_inventory_gives_hosts_fit_to_connect_to_or_an_error_with_its_line(
    file: bytes, variables: bytes
) -> None:
    with tempfile.TemporaryDirectory() as name:
        inventory = load(Path(name), file, variables)
        assert (Path(name) / "hosts.yml").read_bytes() == file
    if inventory is None:
        return
    assert [host.name for host in inventory.hosts] == sorted({host.name for host in inventory.hosts})
    for host in inventory.hosts:
        said = [host.name, host.address, host.user or "root", *host.groups]
        said += [*host.metadata, *host.metadata.values()]
        assert all(text.isprintable() for text in said)
        assert not set(host.address) & set("'`\"$\\;&<>|(){}[]@/ ")
        assert not set(host.user or "") & set("'`\";&<>|(){} ")
        assert not any(word.startswith("-") for word in (host.name, host.address, host.user or "root"))
        assert 1 <= host.port <= 65535
        assert all(Path(path).is_absolute() for path in (host.key_file, host.known_hosts) if path)
    assert all(text.isprintable() for text in inventory.warnings)
