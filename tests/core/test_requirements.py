"""Requirements: every key of [X-Fleet], what is refused and where, and the unit that comes of a file.

Numbers like F-107 name fleet's own tests.
"""

from __future__ import annotations

import hashlib
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import UnitError
from fleetssh.core.model import Requirements, Unit
from fleetssh.core.requirements import KEYS, read_requirements, read_unit, split_values
from fleetssh.core.unitfile import parse


def requirements(*lines: str, name: str = "web.service") -> Requirements:
    text = "\n".join(["[X-Fleet]", *lines, ""])
    return read_requirements(parse(text.encode()), name, "f")


def refusal(*lines: str, name: str = "web.service") -> UnitError:
    with pytest.raises(UnitError) as caught:
        requirements(*lines, name=name)
    return caught.value


# ---------------------------------------------------------------- the whole unit


def test_read_unit_takes_everything_from_the_file() -> None:
    """F-100: the name is the one given. F-133: the description is read from [Unit]."""
    text = b"""# a comment
[Unit]
Description=Web %i
Description=second
Requires=docker.service db@%i.service
BindsTo=%p-data@%i.service \\
  docker.service

[Service]
ExecStart=/bin/web

[Install]
WantedBy=multi-user.target

[X-Fleet]
Conflicts=web@*.service
MachineMetadata="region=us" "disk=ssd"
"""
    unit = read_unit("web@1.service", text, "units/web@.service")
    assert unit == Unit(
        name="web@1.service",
        text=text,
        hash=parse(text).hash,
        digest=hashlib.sha1(text).hexdigest(),
        description="Web %i",
        requirements=Requirements(
            metadata=(("disk", ("ssd",)), ("region", ("us",))), conflicts=("web@*.service",)
        ),
        installs=True,
        bound_to=("web-data@1.service", "docker.service", "db@1.service"),
    )


def test_a_plain_service_asks_for_nothing() -> None:
    """F-134: without a description there is none. F-106: without [X-Fleet] there are no requirements."""
    unit = read_unit("a.service", b"[Service]\nExecStart=/bin/true\n")
    assert unit.requirements == Requirements()
    assert unit.description is None
    assert not unit.installs
    assert unit.bound_to == ()
    assert unit.hash == "86943ac9f3754cb90f8dd38bf6da7b0cad074592"


def test_an_empty_install_section_installs_nothing() -> None:
    assert not read_unit("a.service", b"[Service]\nExecStart=/bin/true\n[Install]\n").installs


def test_a_continued_description_is_one_line() -> None:
    assert read_unit("a.service", b"[Unit]\nDescription=a \\\n b\n").description == "a   b"


@pytest.mark.parametrize("text", [b"", b"junk\n", b"[Service]\n", b"# only a comment\n"])
def test_a_unit_without_options_is_refused(text: bytes) -> None:
    with pytest.raises(UnitError, match=r"^dir/a\.service: unit has no options$"):
        read_unit("a.service", text, "dir/a.service")


def test_an_invalid_name_is_refused_first() -> None:
    with pytest.raises(UnitError, match="invalid character ' ' in unit name"):
        read_unit("bad name.service", b"")


def test_mistakes_name_the_source_or_else_the_unit() -> None:
    for source, where in (("dir/x", "dir/x:2"), ("", "a.service:2")):
        for text in (b"[X-Fleet]\nWhat=1\n", b"[X-Fleet]\njunk\n"):
            with pytest.raises(UnitError) as caught:
                read_unit("a.service", text, source)
            assert caught.value.where == where


# ---------------------------------------------------------------- several values on a line


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ('"a" "b"', ("a", "b")),
        ('"a"  "b"', ("a", "", "b")),
        ('"a"\t"b"', ("a\tb",)),
        ('"a b" "c"', ("a b", "c")),
        ('"a""b"', ("ab",)),
        ('""', ("",)),
        ('"', ("",)),
        ("", ("",)),
        ('"a" b', ('"a" b',)),
        ('a "b"', ('a "b"',)),
        ("a b", ("a b",)),
        ("'a' 'b'", ("'a' 'b'",)),
        ('"a" "b" ', ('"a" "b" ',)),
        ('"bar" "ping" "pong"', ("bar", "ping", "pong")),
        ('"bar"', ("bar",)),
        ('"bar', ('"bar',)),
        ('bar"', ('bar"',)),
        ('foo\\"bar', ('foo\\"bar',)),
        ('"bar" "', ("bar", "")),
        ('"foo\\"bar"', ("foo\\bar",)),
    ],
)
def test_splitting_follows_fleets_quotes(value: str, values: tuple[str, ...]) -> None:
    """F-136: the last rows from ``"bar" "ping" "pong"`` on, and the two empty ones."""
    assert split_values(value) == values


@given(st.lists(st.text("ab =%", max_size=5), min_size=1))
def test_quoted_values_come_back(values: list[str]) -> None:
    assert split_values(" ".join(f'"{value}"' for value in values)) == tuple(values)


# ---------------------------------------------------------------- each key


def test_no_section_and_an_empty_section_ask_for_nothing() -> None:
    """F-104, its empty rows; F-106."""
    assert requirements() == Requirements()
    assert read_requirements(parse(b""), "a.service") == Requirements()
    assert read_requirements(parse(b"[Service]\nGlobal=true\n"), "a.service") == Requirements()


def test_options_are_collected_as_they_are_written() -> None:
    """F-104: single, under their own names, and repeated in order. F-105: expansion changes no text."""
    text = b"""[X-Fleet]
Foo=bar
X-Foo=1
X-ConditionFoo=2
Ping=pong
Ping=%n
"""
    file = parse(text)
    assert {option.name: file.values("X-Fleet", option.name) for option in file.options} == {
        "Foo": ("bar",),
        "X-Foo": ("1",),
        "X-ConditionFoo": ("2",),
        "Ping": ("pong", "%n"),
    }


def test_specifiers_are_expanded_in_values_and_not_in_the_text() -> None:
    """F-105"""
    text = b"[X-Fleet]\nConflicts=%n %N %p %i x\n"
    for name, expanded in {
        "test.service": ("test.service", "test", "x"),
        "ssh@2.service": ("ssh@2.service", "ssh@2", "ssh", "2", "x"),
    }.items():
        unit = read_unit(name, text)
        assert unit.requirements.conflicts == expanded
        assert unit.text == text


@pytest.mark.parametrize(
    ("lines", "machine_id"),
    [
        ([], None),
        (["MachineID=123"], "123"),
        (['MachineID="123" "456"'], "123"),
        (["MachineID=123", "MachineID=456"], "123"),
        (["X-ConditionMachineID=123", "X-ConditionMachineID=456"], "123"),
        (['X-ConditionMachineID="123" "456"'], "123"),
        (["MachineID=123", "X-ConditionMachineID=456"], "123"),
        (["MachineID=123", "X-ConditionMachineBootID=789"], "123"),
        (["X-ConditionMachineBootID=789"], "789"),
        (["MachineID=123", "X-ConditionMachineID=456", "X-ConditionMachineBootID=789"], "123"),
        (["X-ConditionMachineID=456", "X-ConditionMachineBootID=789"], "456"),
        (["MachineID=%p-%i"], "web-"),
    ],
)
def test_machine_id_is_the_first_value_of_the_best_alias(lines: list[str], machine_id: str | None) -> None:
    """F-107"""
    for order in permutations(lines) if len({line.split("=")[0] for line in lines}) > 1 else [lines]:
        assert requirements(*order).machine_id == machine_id


@pytest.mark.parametrize(
    ("lines", "peers"),
    [
        ([], ()),
        (['MachineOf="foo.service"'], ("foo.service",)),
        (['MachineOf="foo.service" "bar.service"'], ("foo.service", "bar.service")),
    ],
)
def test_peers_are_quoted_values_in_order(lines: list[str], peers: tuple[str, ...]) -> None:
    """F-101"""
    assert requirements(*lines).machine_of == peers


def test_machine_of_takes_every_value_and_aliases_first() -> None:
    lines = ('MachineOf="a.service" "b.service"', "X-ConditionMachineOf=c.service", "MachineOf=a.service")
    assert requirements(*lines).machine_of == ("c.service", "a.service", "b.service")


def test_machine_of_follows_the_instance() -> None:
    assert requirements("MachineOf=db@%i.service", name="web@7.service").machine_of == ("db@7.service",)


@pytest.mark.parametrize(
    ("lines", "metadata"),
    [
        ([], ()),
        (["MachineMetadata=foo=bar"], (("foo", ("bar",)),)),
        (["X-ConditionMachineMetadata=foo=bar"], (("foo", ("bar",)),)),
        (['MachineMetadata="foo=bar" "foo=baz"'], (("foo", ("bar", "baz")),)),
        (["MachineMetadata=foo=b", "MachineMetadata=foo=a", "MachineMetadata=foo=b"], (("foo", ("b", "a")),)),
        (['MachineMetadata="z=1" "a=2"'], (("a", ("2",)), ("z", ("1",)))),
        (["X-ConditionMachineMetadata=z=1", "MachineMetadata=z=2"], (("z", ("1", "2")),)),
        (["MachineMetadata=fleet.architecture=arm64"], (("fleet.architecture", ("arm64",)),)),
        (['MachineMetadata="rack=us east 1"'], (("rack", ("us east 1",)),)),
        (['MachineMetadata="a=1"  "b=2"'], (("a", ("1",)), ("b", ("2",)))),
        (['MachineMetadata="a=1" \\', '   "b=2"'], (("a", ("1",)), ("b", ("2",)))),
        (["MachineMetadata=host=%p"], (("host", ("web",)),)),
    ],
)
def test_metadata_is_grouped_by_key_in_file_order(
    lines: list[str], metadata: tuple[tuple[str, tuple[str, ...]], ...]
) -> None:
    """F-108, but for malformed pairs, which are refused."""
    assert requirements(*lines).metadata == metadata


@pytest.mark.parametrize(
    ("lines", "conflicts"),
    [
        ([], ()),
        (["Conflicts=*bar*"], ("*bar*",)),
        (["Conflicts=*bar*", "Conflicts=foo.*"], ("*bar*", "foo.*")),
        (["Conflicts=*bar* foo.*"], ("*bar*", "foo.*")),
        (["Conflicts=*bar*", "X-Conflicts=foo.*"], ("*bar*", "foo.*")),
        (['Conflicts="a.service" "b*"'], ("a.service", "b*")),
        (["Conflicts=a* \\", "   b*\tc*"], ("a*", "b*", "c*")),
        (["Conflicts=%p@*.service"], ("web@*.service",)),
        (["Conflicts=a a a"], ("a",)),
        (["Conflicts="], ()),
    ],
)
def test_conflicts_are_split_on_white_space(lines: list[str], conflicts: tuple[str, ...]) -> None:
    """F-102"""
    assert requirements(*lines).conflicts == conflicts


@pytest.mark.parametrize(
    ("lines", "replaces"),
    [
        ([], ()),
        (["Replaces=*bar*"], ("*bar*",)),
        (["Replaces=old.service"], ("old.service",)),
        (['Replaces="old.service" "old@*"'], ("old.service", "old@*")),
        (["Replaces="], ()),
    ],
)
def test_replaces_takes_every_value(lines: list[str], replaces: tuple[str, ...]) -> None:
    """F-103"""
    assert requirements(*lines).replaces == replaces


@pytest.mark.parametrize("word", ["true", "True", "yes", "Yes", "1", "on", "ON", "t", "T"])
def test_true_words(word: str) -> None:
    """F-112, F-113: also after ``false``, since the last word counts."""
    assert requirements(f"Global={word}").is_global
    assert requirements("Global=false", f"Global={word}").is_global


@pytest.mark.parametrize("word", ["false", "False", "no", "0", "off", "OFF", "f", "F"])
def test_false_words(word: str) -> None:
    """F-112, F-113: also after ``true``. The empty word is refused."""
    assert not requirements(f"Global={word}").is_global
    assert not requirements("Global=true", f"Global={word}").is_global


@pytest.mark.parametrize(
    "text",
    [
        "[Service]\nExecStart=/bin/x\n",
        "[X-Fleet]\nMachineOf=a.service\n",
        "Global=true\n[Service]\nExecStart=/bin/x\n",
        "[Service]\nGlobal=true\n",
        "[X-Fleet]\nGlobal=true\nGlobal=false\n",
    ],
)
def test_what_does_not_make_a_unit_global(text: str) -> None:
    """F-112, but for what is refused: a file without options, other words, other keys."""
    assert not read_unit("web.service", text.encode()).requirements.is_global


def test_every_key_of_fleet_is_known() -> None:
    """F-114; Lease is ours."""
    assert set(KEYS) - {"Lease"} == {
        "MachineID",
        "X-ConditionMachineID",
        "X-ConditionMachineBootID",
        "X-ConditionMachineOf",
        "MachineOf",
        "X-Conflicts",
        "Conflicts",
        "X-ConditionMachineMetadata",
        "MachineMetadata",
        "Global",
        "Replaces",
    }


# ---------------------------------------------------------------- leases


@pytest.mark.parametrize(
    ("lines", "lease"),
    [
        ((), None),
        (("Lease=30",), 30),
        (("Lease=0",), 0),
        (("Lease=45s",), 45),
        (("Lease=2min",), 120),
        (("Lease=1 h",), 3600),
        (("Lease=30", "Lease=60"), 60),
        (("Global=true", "Lease=30"), 30),
        (("MachineID=m1", "Lease=86400"), 86400),
    ],
)
def test_a_lease_is_read_in_seconds_and_the_last_one_counts(
    lines: tuple[str, ...], lease: int | None
) -> None:
    assert requirements(*lines).lease == lease


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "'' is no length of time; expected seconds, as in 30, 30s or 2min"),
        ("soon", "'soon' is no length of time; expected seconds, as in 30, 30s or 2min"),
        ("-5", "'-5' is no length of time; expected seconds, as in 30, 30s or 2min"),
        ("1.5", "'1.5' is no length of time; expected seconds, as in 30, 30s or 2min"),
        ("\u0663\u0660", "'\u0663\u0660' is no length of time; expected seconds, as in 30, 30s or 2min"),
        ("4", "4 s would run out between two passes; expected at least 5, or 0 for none"),
        ("86401", "'86401' is too long; expected at most a day (86400 s)"),
        ("25h", "'25h' is too long; expected at most a day (86400 s)"),
    ],
)
def test_a_lease_that_cannot_be_meant_is_refused_with_its_line(value: str, problem: str) -> None:
    error = refusal("Global=true", f"Lease={value}")
    assert error.message == f"f:3: Lease: {problem}"
    assert error.hint == "write Lease=30, or Lease=0 for none"


def test_a_template_leaves_its_lease_to_its_instances() -> None:
    assert requirements("Lease=%i", name="web@.service").lease is None
    assert requirements("Lease=%i", name="web@30.service").lease == 30
    assert "no length of time" in refusal("Lease=%i", name="web@a.service").message


# ---------------------------------------------------------------- what is refused, and where


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        # F-115; X-Global and X-ConditionGlobal also F-112
        ("X-Peers", "known: MachineID MachineOf MachineMetadata Conflicts Replaces Global Lease"),
        ("X-ConditionMetadata", "did you mean X-ConditionMachineMetadata?"),
        ("X-ConditionGlobal", "did you mean X-ConditionMachineOf?"),
        ("X-ConditionConflicts", "did you mean X-Conflicts?"),
        ("Machineof", "did you mean MachineOf?"),
        ("global", "did you mean Global?"),
        ("X-Global", "did you mean Global?"),
        ("MachineId", "did you mean MachineID?"),
        ("X-ConditionMachineId", "did you mean X-ConditionMachineID?"),
        ("X-MachineMetadata", "did you mean MachineMetadata?"),
        ("Conflict", "did you mean Conflicts?"),
        ("NoSuchOption", "known: MachineID MachineOf MachineMetadata Conflicts Replaces Global Lease"),
        ("", "known: MachineID MachineOf MachineMetadata Conflicts Replaces Global Lease"),
    ],
)
def test_an_unknown_key_is_refused_with_the_likely_one(key: str, hint: str) -> None:
    error = refusal("Global=true", f"{key}=x")
    assert error.message == f'f:3: unrecognized requirement in [X-Fleet] section: "{key}"'
    assert error.hint == hint


@pytest.mark.parametrize("section", ["x-fleet", "X-FLEET", " X-Fleet ", "X-fleet"])
def test_a_misspelt_section_is_refused(section: str) -> None:
    with pytest.raises(UnitError, match=r"^f:2: section \[.*\] means nothing$"):
        read_requirements(parse(f"[{section}]\nGlobal=true\n".encode()), "a.service", "f")


@pytest.mark.parametrize(
    "pair",
    [
        "",
        "region",
        "region=",
        "=us",
        "a=b=c",
        "region=us type=ssd",
        "'region=us' 'type=ssd'",
        '"region=us" type=ssd',
        '"region=us',
        "region = us",
        "region= us",
        '"a=b" "c"',
        '"a=b"\t"c=d"',
    ],
)
def test_a_malformed_metadata_pair_is_refused(pair: str) -> None:
    """F-108, where fleet ran the unit anywhere."""
    error = refusal("Global=true", f"MachineMetadata={pair}")
    assert error.where == "f:3"
    assert "is not one key=value pair" in error.reason
    assert error.hint == 'quote each pair: MachineMetadata="a=b" "c=d"'


@pytest.mark.parametrize("word", ["", "what", "12", "true false", "yess"])
def test_a_global_word_that_is_neither_true_nor_false_is_refused(word: str) -> None:
    """F-112, F-113, where fleet took these for false."""
    error = refusal(f"Global={word}", "Global=true")
    assert error.where == "f:2"
    assert "is neither true nor false" in error.reason


@pytest.mark.parametrize("key", ["MachineID", "X-ConditionMachineID", "X-ConditionMachineBootID"])
@pytest.mark.parametrize("value", ["", '""', "%i"])
def test_an_empty_machine_id_is_refused(key: str, value: str) -> None:
    assert refusal(f"{key}={value}").message == f"f:2: {key}: no machine has an empty id"


@pytest.mark.parametrize(
    ("value", "reason", "hint"),
    [
        ("", "MachineOf: unit name cannot be empty", ""),
        ("db", "MachineOf: unit name 'db' has no type", "did you mean 'db.service'?"),
        ("db*.service", "MachineOf: invalid character '*' in unit name", "are allowed"),
        (
            "a.service b.service",
            "MachineOf: invalid character ' ' in unit name",
            'quote each name: MachineOf="a.service" "b.service"',
        ),
        ("db@.service", "MachineOf: db@.service is a template and runs nowhere", "one of its instances"),
        ("db@%i.service", "MachineOf: db@.service is a template and runs nowhere", "one of its instances"),
        ("web.service", "MachineOf: a unit cannot be required beside itself", "another unit"),
        ("%n", "MachineOf: a unit cannot be required beside itself", "another unit"),
    ],
)
def test_a_peer_that_can_never_be_placed_is_refused(value: str, reason: str, hint: str) -> None:
    error = refusal(f"MachineOf={value}")
    assert (error.where, error.reason) == ("f:2", reason)
    assert hint in error.hint


@pytest.mark.parametrize("key", ["Conflicts", "X-Conflicts", "Replaces"])
@pytest.mark.parametrize("pattern", ["web[", "[]", "[a-"])
def test_a_malformed_pattern_is_refused(key: str, pattern: str) -> None:
    assert refusal(f"{key}={pattern}").message == f"f:2: {key}: malformed pattern {pattern!r}"


@pytest.mark.parametrize(
    ("line", "character"),
    [
        ('Conflicts="a.service" b.service', '"'),
        ("Conflicts='a.service'", "'"),
        ("Conflicts=web@{1,2}.service", "{"),
        ("Conflicts=%H.service", "%"),
        ("Replaces=a.service b.service", " "),
    ],
)
def test_a_pattern_that_can_match_no_name_is_refused(line: str, character: str) -> None:
    error = refusal(line)
    assert f"can match no unit name: invalid character {character!r}" in error.reason
    assert error.where == "f:2"


# ---------------------------------------------------------------- combinations

USE = {
    "MachineID": "MachineID=1234",
    "MachineOf": "MachineOf=db.service",
    "MachineMetadata": "MachineMetadata=a=b",
    "Conflicts": "Conflicts=other@*",
    "Replaces": "Replaces=old.service",
    "Global": "Global=true",
}
FORBIDDEN = {
    ("MachineID", "MachineOf"): "MachineID cannot be used with Peers",
    ("MachineID", "Conflicts"): "MachineID cannot be used with Conflicts",
    ("MachineID", "Global"): "MachineID cannot be used with Global",
    ("MachineID", "Replaces"): "MachineID cannot be used with Replaces",
    ("Global", "MachineOf"): "Global cannot be used with Peers",
    ("Global", "Replaces"): "Global cannot be used with Replaces",
    ("Conflicts", "Replaces"): "Conflicts cannot be used with Replaces",
}


@pytest.mark.parametrize(("one", "other"), list(permutations(USE, 2)))
def test_two_keys_together(one: str, other: str) -> None:
    """F-172: every pair in both orders. F-052: these are what creating a unit is refused for."""
    message = FORBIDDEN.get((one, other)) or FORBIDDEN.get((other, one))
    if message is None:
        assert requirements(USE[one], USE[other]) != Requirements()
    else:
        error = refusal(USE[one], USE[other])
        assert error.message == f"f:3: {message}"
        assert f"{one} (line 2)" in error.hint
        assert f"{other} (line 3)" in error.hint


def test_the_first_contradiction_in_fleets_order_is_told() -> None:
    assert refusal(*USE.values()).reason == "MachineID cannot be used with Peers"
    assert (
        refusal("Replaces=a.service", "Conflicts=b", "Global=1").reason
        == "Global cannot be used with Replaces"
    )


def test_what_is_switched_off_contradicts_nothing() -> None:
    assert requirements("Global=true", "MachineOf=db.service", "Global=false").machine_of == ("db.service",)
    assert requirements("Conflicts=", "MachineID=1").machine_id == "1"
    assert requirements("Replaces=", "Global=true").is_global


def test_the_line_that_decides_about_global_is_blamed() -> None:
    assert refusal("Global=false", "MachineOf=db.service", "Global=true").where == "f:4"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Conflicts=foo.service"],
        ["Conflicts=foo.service", "MachineOf=bar.service"],
        ["Conflicts=foo.*", "MachineOf=bar.service"],
        ["Replaces=foo.service", "Replaces=bar.service"],
        ["Replaces=foo.service", "MachineOf=bar.service"],
        ["MachineID=1234"],
        ["Global=true"],
        ["Global=true", "Conflicts=foo.service"],
    ],
)
def test_what_goes_together(lines: list[str]) -> None:
    """F-172, its valid half."""
    requirements(*lines)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            ["MachineOf=db.service", "Conflicts=x d*.service"],
            "unresolvable requirements: MachineOf db.service matches Conflicts d*.service",
        ),
        (
            ["X-Conflicts=db.service", 'MachineOf="a.service" "db.service"'],
            "unresolvable requirements: MachineOf db.service matches Conflicts db.service",
        ),
        (
            ["MachineOf=db.service", "Replaces=db.service"],
            "unresolvable requirements: MachineOf db.service matches Replaces db.service",
        ),
    ],
)
def test_a_peer_that_is_also_driven_off_is_unresolvable(lines: list[str], reason: str) -> None:
    """F-172: literal, one of several, and as a glob."""
    error = refusal(*lines)
    assert (error.where, error.reason) == ("f:3", reason)


def test_unresolvable_comes_before_contradictions() -> None:
    assert refusal("MachineID=1", "MachineOf=a.service", "Conflicts=a*").reason.startswith("unresolvable")


# ---------------------------------------------------------------- templates


@pytest.mark.parametrize(
    "line",
    [
        "MachineOf=apache@%i.service",
        "MachineOf=%i.service",
        "MachineOf=%n",
        "MachineOf=%N-data.service",
        "MachineID=%i",
        "MachineMetadata=hostname=%i",
        "MachineMetadata=%i",
        "Global=%i",
        "Conflicts=[%i]*",
        "Replaces=%i",
    ],
)
def test_a_template_is_not_judged_by_what_its_instances_complete(line: str) -> None:
    requirements(line, name="web@.service")


def test_a_template_expands_with_an_empty_instance() -> None:
    lines = ("MachineOf=apache@%i.service", "Conflicts=%p@%i*", 'MachineMetadata="host=%i" "a=x%i"')
    assert requirements(*lines, name="web@.service") == Requirements(
        machine_of=("apache@.service",), conflicts=("web@*",), metadata=(("a", ("x",)),)
    )


@pytest.mark.parametrize(
    "line",
    [
        "MachineOf=apache@.service",
        "MachineOf=web@.service",
        "MachineOf=%p",
        "MachineMetadata=a",
        "Conflicts=[",
        "No=1",
    ],
)
def test_a_template_is_judged_by_everything_else(line: str) -> None:
    assert refusal(line, name="web@.service").where == "f:2"


def test_a_template_keeps_to_the_combinations() -> None:
    error = refusal("Global=true", "MachineOf=db@%i.service", name="web@.service")
    assert error.reason == "Global cannot be used with Peers"


def test_a_peer_of_a_template_is_compared_only_when_both_are_known() -> None:
    name = "web@.service"
    requirements("MachineOf=db@%i.service", "Conflicts=db@.service", name=name)
    requirements("MachineOf=db@1.service", "Conflicts=db@%i*", name=name)
    assert refusal("MachineOf=db@1.service", "Conflicts=db@*", name=name).reason.startswith("unresolvable")


@pytest.mark.parametrize("line", ["MachineOf=%n", "MachineOf=%p@%i.service", "MachineOf=a b@%i.service"])
def test_an_instance_is_judged_completely(line: str) -> None:
    assert refusal(line, name="web@1.service").where == "f:2"


# ---------------------------------------------------------------- properties

LINES = st.lists(
    st.tuples(
        st.sampled_from([*KEYS, "What"]),
        st.lists(
            st.sampled_from(
                ["a.service", "b@*", "a=b", "%i", "%n", '"', " ", "[", "true", "0", "\\\n", "=", "x"]
            ),
            max_size=4,
        ).map("".join),
    ),
    max_size=4,
)


@given(LINES, st.sampled_from(["web.service", "web@.service", "web@1.service"]))
def test_any_section_gives_requirements_or_an_error_with_its_line(
    lines: list[tuple[str, str]], name: str
) -> None:
    text = "[X-Fleet]\n" + "".join(f"{key}={value}\n" for key, value in lines)
    try:
        found = read_unit(name, text.encode(), "f").requirements
    except UnitError as error:
        assert error.where == "f" if not lines else error.where.startswith("f:")
    else:
        assert list(found.metadata) == sorted(found.metadata)
        assert not (found.is_global and (found.machine_of or found.replaces or found.machine_id))
        assert name not in found.machine_of or name == "web@.service"


@given(st.permutations(['"a=1"', '"b=2"', '"c=3"', '"a=4"']))
def test_grouping_of_metadata_in_lines_does_not_matter(pairs: list[str]) -> None:
    one_line = requirements("MachineMetadata=" + " ".join(pairs))
    assert one_line == requirements(*(f"MachineMetadata={pair}" for pair in pairs))
