from pathlib import Path

import pytest

from fleetssh.core.errors import InventoryError
from fleetssh.inventory import load_inventory
from tests.inventory.conftest import Load


def refuse(load: Load, files: str | dict[str, str]) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        load(files)
    return caught.value


STRUCTURE = {
    "unknown key in a group": (
        "web:\n  hosts:\n    m1:\n  host:\n    m2:\n",
        "hosts.yml:4: group `web` has the key `host`; expected hosts, children or vars",
    ),
    "host directly in a group": (
        "all:\n  children:\n    web:\n      m1:\n",
        "hosts.yml:4: group `web` has the key `m1`; expected hosts, children or vars",
    ),
    "hosts as a list": (
        "web:\n  hosts:\n    - m1\n",
        "hosts.yml:2: `hosts` of group `web` is a list; expected a mapping of names",
    ),
    "children as a list": (
        "web:\n  children: [a, b]\n",
        "hosts.yml:2: `children` of group `web` is a list; expected a mapping of names",
    ),
    "vars as text": (
        "web:\n  vars: x=1\n",
        "hosts.yml:2: `vars` of group `web` is text; expected a mapping of variables",
    ),
    "a group as a list": (
        "web:\n- m1\n",
        "hosts.yml:1: group `web` is a list; expected a mapping with hosts, children or vars",
    ),
    "a host with text": (
        "web:\n  hosts:\n    m1: 10.0.0.1\n",
        "hosts.yml:3: host `m1` is text; expected a mapping of variables",
    ),
    "the file as a list": ("\n- m1\n", "hosts.yml:1: the inventory is a list; expected a mapping of groups"),
    "a host name that is a number": (
        "web:\n  hosts:\n    1:\n",
        "hosts.yml:3: a host name is a number (`1`); expected text",
    ),
    "a group name that is no text": (
        "yes:\n",
        "hosts.yml:1: a group name is true or false (`yes`); expected text",
    ),
    "a group name that is nothing": ("~:\n", "hosts.yml:1: a group name is nothing (`~`); expected text"),
    "a key that is a list": (
        "web:\n  hosts:\n    ? [a, b]\n    : {}\n",
        "hosts.yml:3: a key in `hosts` of group `web` is a list; expected text",
    ),
    "a group twice": (
        "web:\n  hosts: {m1: }\nweb:\n  hosts: {m2: }\n",
        "hosts.yml:3: `web` is there twice in the inventory (first at hosts.yml:1); expected each key once",
    ),
    "a host twice": (
        "web:\n  hosts:\n    m1:\n    m1:\n",
        (
            "hosts.yml:4: `m1` is there twice in `hosts` of group `web` (first at hosts.yml:3); "
            "expected each key once"
        ),
    ),
    "a variable twice": (
        "web:\n  hosts:\n    m1:\n      a: 1\n      a: 2\n",
        "hosts.yml:5: `a` is there twice in host `m1` (first at hosts.yml:4); expected each key once",
    ),
    "a bad range": (
        "web:\n  hosts:\n    m[3:1]:\n",
        "hosts.yml:3: bad range in `m[3:1]`: `3` comes after `1`; expected begin:end or begin:end:step",
    ),
    "a group in itself": (
        "a:\n  children:\n    a:\n",
        "hosts.yml:3: group `a` is its own child; expected no circle of groups",
    ),
    "groups in a circle": (
        "a: {children: {b: }}\nb: {children: {c: }}\nc:\n  children:\n    a:\n",
        "hosts.yml:5: `a` is inside `c`, which is inside `a`; expected no circle of groups",
    ),
    "all as a child": (
        "web:\n  children:\n    all:\n",
        "hosts.yml:3: `all` is a child; expected a group below it",
    ),
    "an anchor in itself": (
        "all: &a\n  children: *a\n",
        "hosts.yml:2: group `children` is its own child; expected no circle of groups",
    ),
    "merge keys in a circle": (
        "all:\n  vars: &a\n    <<: *a\n",
        "hosts.yml: groups nested too deeply, or `<<` in a circle",
    ),
    "a merge key of text": (
        "all:\n  vars:\n    <<: text\n",
        "hosts.yml:2: `<<` in `vars` of group `all` is text; expected a mapping or a list of mappings",
    ),
    "a bad priority": (
        "web:\n  vars:\n    ansible_group_priority: high\n  hosts: {m1: }\n",
        "hosts.yml:3: `ansible_group_priority` is 'high'; expected a whole number",
    ),
    "deep nesting": (
        "all:\n  vars: " + "[" * 20000 + "\n",
        "hosts.yml:2: nested too deeply; expected at most 100 levels",
    ),
}


@pytest.mark.parametrize(("text", "message"), STRUCTURE.values(), ids=STRUCTURE.keys())
def test_a_wrong_structure_is_told_with_its_line(load: Load, text: str, message: str) -> None:
    assert str(refuse(load, text)) == message


SYNTAX = {
    "a tab": ("all:\n\thosts:\n", 2),
    "an open quote": ("all:\n  hosts:\n    m1: {a: 'x}\n", 4),
    "bad indentation": ("all:\n  hosts:\n    m1:\n   vars:\n", 4),
    "an unknown anchor": ("all:\n  hosts:\n    m1: *nothing\n", 3),
    "two documents": ("all:\n---\nall:\n", 2),
    "an INI file": ("[web]\nm1\n", 2),
    "a control character": ("all:\n  hosts:\n    m1\x07:\n", 3),
}


@pytest.mark.parametrize(("text", "line"), SYNTAX.values(), ids=SYNTAX.keys())
def test_a_syntax_error_is_told_with_its_line(load: Load, text: str, line: int) -> None:
    error = refuse(load, text)
    assert error.where == f"hosts.yml:{line}"
    assert error.reason.startswith("not valid YAML: ")
    assert error.hint


def test_an_open_quote_is_told_with_the_line_where_it_was_opened(load: Load) -> None:
    error = refuse(load, "all:\n  hosts:\n    m1: {a: 'x}\n    m2:\n")
    assert "while scanning a quoted scalar, from line 3" in error.reason


def test_bytes_that_are_not_utf8_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_bytes(b"all:\n  hosts:\n    m1: {a: caf\xe9 }\n")
    with pytest.raises(InventoryError) as caught:
        load_inventory(path)
    assert caught.value.where == f"{path}:3"
    assert "UTF-8" in caught.value.hint


# Variables of a host on line 4, and the message after the place.
VARIABLES = {
    "port 0": ("ansible_port: 0", "`ansible_port` is '0'; expected a whole number from 1 to 65535"),
    "port too big": (
        "ansible_port: 65536",
        "`ansible_port` is '65536'; expected a whole number from 1 to 65535",
    ),
    "port negative": ("ansible_port: -1", "`ansible_port` is '-1'; expected a whole number from 1 to 65535"),
    "port octal": ("ansible_port: 022", "`ansible_port` is '022'; expected a whole number from 1 to 65535"),
    "port as text": ("ansible_port: ssh", "`ansible_port` is 'ssh'; expected a whole number from 1 to 65535"),
    "port as list": (
        "ansible_port: [22]",
        "`ansible_port` is a list; expected a whole number from 1 to 65535",
    ),
    "port template": (
        "ansible_port: '{{ ssh_port }}'",
        "`ansible_port` is the template '{{ ssh_port }}'; expected the value itself",
    ),
    "host template": (
        "ansible_host: 'x.{{ domain }}'",
        "`ansible_host` is the template 'x.{{ domain }}'; expected the value itself",
    ),
    "user with a statement": (
        "ansible_user: '{% if a %}b{% endif %}'",
        "`ansible_user` is the template '{% if a %}b{% endif %}'; expected the value itself",
    ),
    "key template": (
        "ansible_ssh_private_key_file: '{{ key }}'",
        "`ansible_ssh_private_key_file` is the template '{{ key }}'; expected the value itself",
    ),
    "become template": (
        "ansible_become: '{{ root }}'",
        "`ansible_become` is the template '{{ root }}'; expected the value itself",
    ),
    "host like an option": (
        "ansible_host: -oProxyCommand=x",
        "`ansible_host` is '-oProxyCommand=x'; expected a word that does not begin with `-`",
    ),
    "user like an option": (
        "ansible_user: -oX",
        "`ansible_user` is '-oX'; expected a word that does not begin with `-`",
    ),
    "empty host": ("ansible_host: ''", "`ansible_host` is ''; expected one word without blanks"),
    "host with a blank": ("ansible_host: a b", "`ansible_host` is 'a b'; expected one word without blanks"),
    "host with a line break": (
        'ansible_host: "a\\nb"',
        "`ansible_host` is 'a\\nb'; expected no line breaks and no control characters",
    ),
    "user with an escape": (
        'ansible_user: "a\\x1b[31m"',
        "`ansible_user` is 'a\\x1b[31m'; expected no line breaks and no control characters",
    ),
    "host for a shell": (
        "ansible_host: a;reboot",
        "`ansible_host` is 'a;reboot'; expected a host name or an IP address",
    ),
    "host with a substitution": (
        "ansible_host: $(reboot)",
        "`ansible_host` is '$(reboot)'; expected a host name or an IP address",
    ),
    "host with a port": (
        "ansible_host: 10.0.0.1:22",
        "`ansible_host` is '10.0.0.1:22'; expected a host name or an IP address",
    ),
    "host with a user": (
        "ansible_host: root@a",
        "`ansible_host` is 'root@a'; expected a host name or an IP address",
    ),
    "user for a shell": ("ansible_user: a|b", "`ansible_user` is 'a|b'; expected a login name"),
    "user that ends in a backslash": (
        "ansible_user: a\\",
        "`ansible_user` is 'a\\\\'; expected a login name",
    ),
    "a name of a kilobyte": (
        f"ansible_user: {'x' * 1000}",
        f"`ansible_user` is longer than 255 characters: '{'x' * 80}...'",
    ),
    "host as a number": ("ansible_host: 10", "`ansible_host` is a number; expected text"),
    "user as a mapping": ("ansible_user: {a: b}", "`ansible_user` is a mapping; expected text"),
    "user from the vault": ("ansible_user: !vault x", "`ansible_user` is a tagged value; expected text"),
    "become word": ("ansible_become: maybe", "`ansible_become` is 'maybe'; expected true or false"),
    "become list": ("ansible_become: []", "`ansible_become` is a list; expected true or false"),
    "become user": ("ansible_become_user: postgres", "`ansible_become_user` is 'postgres'; expected root"),
    "become method": ("ansible_become_method: su", "`ansible_become_method` is 'su'; expected sudo"),
    "connection": (
        "ansible_connection: winrm",
        "`ansible_connection` is 'winrm'; expected local or paramiko or smart or ssh",
    ),
    "empty key": (
        "ansible_ssh_private_key_file: ''",
        "`ansible_ssh_private_key_file` is empty; expected the path of a file",
    ),
    "unknown home": (
        "fleet_known_hosts: ~no-such-user/known_hosts",
        "`fleet_known_hosts` is '~no-such-user/known_hosts'; expected the home folder of a user that exists",
    ),
}


@pytest.mark.parametrize(("variable", "message"), VARIABLES.values(), ids=VARIABLES.keys())
def test_a_wrong_variable_is_told_with_its_line(load: Load, variable: str, message: str) -> None:
    error = refuse(load, f"all:\n  hosts:\n    m1:\n      {variable}\n")
    assert str(error) == f"hosts.yml:4: {message}"


@pytest.mark.parametrize(
    "name",
    [
        "ansible_password",
        "ansible_ssh_pass",
        "ansible_ssh_password",
        "ansible_become_password",
        "ansible_become_pass",
    ],
)
def test_passwords_are_refused_with_what_to_do(load: Load, name: str) -> None:
    error = refuse(
        load, {"hosts.yml": "all:\n  hosts:\n    m1:\n", "group_vars/all.yml": f"a: 1\n{name}: x\n"}
    )
    assert error.where == "inv/group_vars/all.yml:2"
    assert error.reason == (
        f"`{name}` is set; expected SSH keys and sudo without a password, nothing else is supported"
    )
    assert "NOPASSWD" in error.hint


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("10.0.0.1:22", "write `ansible_host: 10.0.0.1` and `ansible_port: 22`"),
        ("root@a", "the user goes into `ansible_user`"),
        ("'[::1]'", "an IPv6 address is written without brackets"),
        ("a/b", "letters, digits and . - _ : are allowed"),
        ("a..b", "there are 1 to 63 characters between two dots"),
        ("x" * 64 + ".example", "there are 1 to 63 characters between two dots"),
    ],
)
def test_what_is_no_address_is_answered_with_what_it_may_have_meant(
    load: Load, address: str, hint: str
) -> None:
    assert refuse(load, f"all: {{hosts: {{m1: {{ansible_host: {address}}}}}}}").hint == hint


def test_a_host_without_an_address_must_have_a_name_that_is_one(load: Load) -> None:
    error = refuse(load, "all:\n  hosts:\n    m1;reboot:\n")
    assert error.where == "hosts.yml:3"
    assert error.reason.startswith("a host name without `ansible_host` is 'm1;reboot'")
    assert load("all:\n  hosts:\n    m1;reboot: {ansible_host: 10.0.0.1}\n").hosts[0].name == "m1;reboot"


@pytest.mark.parametrize(
    "address", ["::1", "fe80::1%eth0", "m\xfcnchen.example", "a_b-c.example.com", "a.example.", "10.0.0.1"]
)
def test_addresses_of_every_kind(load: Load, address: str) -> None:
    assert load(f"all: {{hosts: {{m1: {{ansible_host: '{address}'}}}}}}").hosts[0].address == address


@pytest.mark.parametrize("pattern", ["m1:0", "m1:99999", "'m[1:2]:0'"])
def test_a_bad_port_in_a_name_is_told_with_its_line(load: Load, pattern: str) -> None:
    """F-228: malformed addresses."""
    error = refuse(load, f"all:\n  hosts:\n    {pattern}:\n")
    assert error.where == "hosts.yml:3"
    assert "expected a whole number from 1 to 65535" in error.reason


@pytest.mark.parametrize(
    "name", ["-m1", "'-oProxyCommand=x'", '"m\\n1"', "'m 1'", "''", "'{{ m }}'", '"m\\u202e1"']
)
def test_bad_host_and_group_names_are_told_with_their_line(load: Load, name: str) -> None:
    assert refuse(load, f"all:\n  hosts:\n    {name}:\n").where == "hosts.yml:3"
    assert refuse(load, f"all:\n  children:\n    {name}:\n").where == "hosts.yml:3"


def test_a_name_is_checked_without_its_port(load: Load) -> None:
    error = refuse(load, "all:\n  hosts:\n    ':22':\n")
    assert str(error) == "hosts.yml:3: a host name is ''; expected one word without blanks"


METADATA = {
    "a list": ("a: [x, y]", "metadata `a` is a list; expected text, a number or true/false"),
    "a mapping": ("a: {b: c}", "metadata `a` is a mapping; expected text, a number or true/false"),
    "nothing": ("a:", "metadata `a` is nothing; expected text, a number or true/false"),
    "a date": ("a: 2024-01-31", "metadata `a` is a date; expected text, a number or true/false"),
    "an unknown tag": (
        "a: !vault x",
        "metadata `a` is a tagged value; expected text, a number or true/false",
    ),
    "a template": ("a: '{{ x }}'", "metadata `a` is the template '{{ x }}'; expected the value itself"),
    "a line break": (
        'a: "x\\ny"',
        "metadata `a` is 'x\\ny'; expected no line breaks and no control characters",
    ),
    "a key with a comma": ("'a,b': x", "metadata key 'a,b'; expected a word without `,` and `=`"),
    "a key with an equals sign": ("a=b: x", "metadata key 'a=b'; expected a word without `,` and `=`"),
    "an empty key": ("'': x", "metadata key ''; expected a word without `,` and `=`"),
    "a key with a tab": (
        '"a\\tb": x',
        "a metadata key is 'a\\tb'; expected no line breaks and no control characters",
    ),
    "a null key": ("~: x", "metadata key `~` is nothing; expected text, a number or true/false"),
    "a reserved key": (
        "fleet.arch: x",
        "metadata key `fleet.arch`; expected a key that does not begin with `fleet.`",
    ),
}


@pytest.mark.parametrize(("entry", "message"), METADATA.values(), ids=METADATA.keys())
def test_wrong_metadata_is_told_with_its_line(load: Load, entry: str, message: str) -> None:
    error = refuse(load, f"all:\n  hosts:\n    m1:\n      fleet_metadata:\n        ok: x\n        {entry}\n")
    assert str(error) == f"hosts.yml:6: {message}"


def test_metadata_twice_or_not_a_mapping_is_told(load: Load) -> None:
    error = refuse(load, "all:\n  vars:\n    fleet_metadata: {a: x,\n      a: y}\n  hosts: {m1: }\n")
    assert str(error) == (
        "hosts.yml:4: `a` is there twice in `fleet_metadata` (first at hosts.yml:3); expected each key once"
    )
    error = refuse(load, "all:\n  vars:\n    fleet_metadata: a=x\n  hosts: {m1: }\n")
    assert str(error) == "hosts.yml:3: `fleet_metadata` is text; expected a mapping of keys to values"


def test_metadata_of_a_group_without_hosts_is_checked_too(load: Load) -> None:
    error = refuse(
        load, {"hosts.yml": "all: {hosts: {m1: }}\nweb:\n", "group_vars/web.yml": "fleet_metadata: x\n"}
    )
    assert error.where == "inv/group_vars/web.yml:1"


@pytest.mark.parametrize("file", ["group_vars/all.yml", "host_vars/m1.yml", "host_vars/m1/x"])
def test_mistakes_in_files_beside_the_inventory_name_that_file(load: Load, file: str) -> None:
    error = refuse(load, {"hosts.yml": "all:\n  hosts:\n    m1:\n", file: "# a list\n- x\n"})
    assert str(error) == f"inv/{file}:1: the file is a list; expected a mapping of variables"


@pytest.mark.parametrize("text", ["", "# nothing\n", "all:\n", "web:\n  vars: {a: b}\n"])
def test_an_inventory_without_hosts_is_refused(load: Load, text: str) -> None:
    error = refuse(load, text)
    assert str(error) == "hosts.yml: the inventory has no hosts; expected one at least"
    assert "hosts" in error.hint


def test_a_missing_inventory_is_told_with_two_ways_out(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        load_inventory(tmp_path / "nowhere.yml")
    assert str(caught.value) == f"{tmp_path}/nowhere.yml: no such inventory"
    assert "`fleetssh lab up`" in caught.value.hint
    assert "`--inventory PATH`" in caught.value.hint


def test_a_folder_without_inventory_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("a: b\n")
    (tmp_path / "hosts.ini").write_text("m1\n")
    with pytest.raises(InventoryError) as caught:
        load_inventory(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no inventory file in this folder; expected *.yml or *.yaml"


def test_files_that_cannot_be_read_are_named(load: Load) -> None:
    error = refuse(load, {"hosts.yml": "all:\n  hosts:\n    m1:\n", "group_vars": "a file\n"})
    assert str(error) == "inv/group_vars: cannot be read: Not a directory"


def test_the_first_mistake_in_the_order_of_the_files_is_told(load: Load) -> None:
    error = refuse(load, {"a.yml": "web: [1]\n", "b.yml": "all: {hosts: {m1: }}\n", "c.yml": "db: [2]\n"})
    assert error.where == "inv/a.yml:1"
