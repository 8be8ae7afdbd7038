"""Unit names: mangling, validity, parts, specifiers, globs. Numbers like F-050 name fleet's own tests."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import UnitError
from fleetssh.core.names import (
    MAX_LENGTH,
    UnitName,
    compile_glob,
    expand,
    glob_matches,
    is_instance,
    is_literal,
    is_template,
    mangle,
    split_name,
    template_of,
    validate_name,
    with_suffix,
)

STEMS = st.text("abcXYZ019:-_.\\", min_size=1, max_size=12)
SUFFIXES = st.sampled_from([".service", ".socket", ".timer", ".path", ".target"])
INSTANCES = st.text("ab1:-_.\\@", max_size=8)

NO_TEMPLATES = ("automount", "mount", "slice", "swap")
NOT_FROM_FILES = ("busname", "device", "scope", "snapshot")


@st.composite
def unit_names(draw: st.DrawFn) -> str:
    instance = draw(st.none() | INSTANCES)
    return draw(STEMS) + ("" if instance is None else "@" + instance) + draw(SUFFIXES)


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        # F-050
        ("foo", "foo.service"),
        ("foo.1", "foo.1.service"),
        ("foo/bar.socket", "bar.socket"),
        ("foo.socket", "foo.socket"),
        ("foo.service", "foo.service"),
        # F-125: fleet's seven types are recognised
        ("examples/foo.service", "foo.service"),
        ("./units/foo@1", "foo@1.service"),
        ("/abs/foo.timer/", "foo.timer"),
        ("foo.path", "foo.path"),
        ("a.device", "a.device"),
        ("a.mount", "a.mount"),
        ("a.automount", "a.automount"),
        ("foo.target", "foo.target"),
        ("foo.slice", "foo.slice"),
        ("foo.swap", "foo.swap"),
        # F-125: these are not
        ("foo.scope", "foo.scope.service"),
        ("foo.snapshot", "foo.snapshot.service"),
        ("foo.network", "foo.network.service"),
        ("foo.netdev", "foo.netdev.service"),
        ("foo.link", "foo.link.service"),
        ("foo.unknown", "foo.unknown.service"),
        ("foo.conf", "foo.conf.service"),
        ("foo.Service", "foo.Service.service"),
    ],
)
def test_mangle_takes_the_last_component_and_adds_service_unless_a_suffix_is_there(
    argument: str, name: str
) -> None:
    assert mangle(argument) == name


def test_with_suffix_keeps_the_folder() -> None:
    assert with_suffix("units/foo") == "units/foo.service"
    assert with_suffix("units/foo.timer") == "units/foo.timer"


@given(st.text(max_size=30))
def test_mangling_twice_is_mangling_once(argument: str) -> None:
    assert mangle(mangle(argument)) == mangle(argument)


@pytest.mark.parametrize(
    "name",
    [
        "foo.service",
        "foo.1.service",
        "foo:bar-baz_qux.service",
        r"dev-disk\x2dlabel.mount",
        "foo@.service",
        "foo@bar.service",
        "foo@bar@baz.socket",
        "foo@1.timer",
        "foo@1.path",
        "foo@1.target",
        "foo@1.service",
        "foo@1.socket",
        "foo@.target",
        "foo@.socket",
        "foo@.timer",
        "foo@.path",
        "foo.bar.baz.service",
        "f:o-o_b@a.service",
        r"f\o@b\a@r.service",
        "foo.slice",
        "foo.swap",
        "foo.automount",
        "x" * (MAX_LENGTH - len(".service")) + ".service",
    ],
)
def test_valid_names_pass(name: str) -> None:
    """F-173, its valid half. The longest name has 255 bytes and not 256: systemd has no longer ones."""
    validate_name(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "cannot be empty"),
        ("x" * 248 + ".service", "longer than 255 bytes"),
        ("é" * 124 + ".service", "longer than 255 bytes"),
        ("foo", "has no type"),
        ("foo.", "cannot end in a dot"),
        ("foo.what", "invalid unit type '.what'"),
        ("foo.Service", "invalid unit type '.Service'"),
        ("foo.service@", "invalid unit type '.service@'"),
        ("foo.device", "cannot be started"),
        ("foo.scope", "not from a file"),
        ("foo.snapshot", "no snapshot units"),
        ("foo.busname", "no busname units"),
        *((f"foo@{i}.{t}", "cannot be a template or an instance") for i in ("", "1") for t in NO_TEMPLATES),
        *((f"foo@{i}.{t}", "invalid unit type") for i in ("", "1") for t in NOT_FROM_FILES),
        ("bad name.service", "invalid character ' ' in unit name"),
        ("weird!.service", "invalid character '!' in unit name"),
        ("foo@{1,3}.service", "invalid character '{' in unit name"),
        ("foo.{1-3}.service", "invalid character '{' in unit name"),
        ("a%b.service", "invalid character '%' in unit name"),
        ("a$b.service", "invalid character '$' in unit name"),
        ("a#b.service", "invalid character '#' in unit name"),
        ("a/b.service", "invalid character '/' in unit name"),
        ("a+b.service", "invalid character '+' in unit name"),
        ("a=b.service", "invalid character '=' in unit name"),
        ("a\nb.service", r"invalid character '\n' in unit name"),
        ("é.service", "invalid character 'é' in unit name"),
        ("@foo.service", "has nothing before its @"),
        (".service", "has nothing before its type"),
    ],
)
def test_invalid_names_are_refused_with_the_first_problem(name: str, words: str) -> None:
    """F-173, its invalid half."""
    with pytest.raises(UnitError) as caught:
        validate_name(name)
    assert words in caught.value.reason


def test_a_name_without_type_is_answered_with_the_likely_one() -> None:
    with pytest.raises(UnitError) as caught:
        validate_name("web@1")
    assert caught.value.hint == "did you mean 'web@1.service'?"


def test_a_name_from_undecodable_bytes_is_refused_not_crashed_on() -> None:
    with pytest.raises(UnitError, match="invalid character"):
        validate_name("\udcff\ud800.service")


@pytest.mark.parametrize(
    ("name", "prefix", "instance", "suffix", "stem", "template"),
    [
        ("foo.service", "foo", None, ".service", "foo", None),
        ("foo@.service", "foo", "", ".service", "foo@", "foo@.service"),
        ("foo@bar.service", "foo", "bar", ".service", "foo@bar", "foo@.service"),
        ("foo@bar@baz.service", "foo", "bar@baz", ".service", "foo@bar@baz", "foo@.service"),
        ("foo.socket", "foo", None, ".socket", "foo", None),
        ("foo@.socket", "foo", "", ".socket", "foo@", "foo@.socket"),
        ("foo@bar.socket", "foo", "bar", ".socket", "foo@bar", "foo@.socket"),
        ("foo.1@.service", "foo.1", "", ".service", "foo.1@", "foo.1@.service"),
        ("foo.1@2.service", "foo.1", "2", ".service", "foo.1@2", "foo.1@.service"),
        ("ssh@2.0.socket", "ssh", "2.0", ".socket", "ssh@2.0", "ssh@.socket"),
    ],
)
def test_parts_of_a_name(
    name: str, prefix: str, instance: str | None, suffix: str, stem: str, template: str | None
) -> None:
    """F-128"""
    parts = split_name(name)
    assert parts == UnitName(name, prefix, instance, suffix)
    assert (parts.stem, parts.template) == (stem, template)
    assert parts.is_template == is_template(name) == (instance == "")
    assert parts.is_instance == is_instance(name) == (instance not in (None, ""))
    assert template_of(name) == (template if parts.is_instance else None)


@pytest.mark.parametrize("name", ["foo", "bar@baz"])
def test_a_name_without_dot_has_no_parts(name: str) -> None:
    """F-128"""
    with pytest.raises(UnitError, match="has no type"):
        split_name(name)


@given(unit_names())
def test_the_parts_of_a_name_make_the_name(name: str) -> None:
    parts = split_name(name)
    instance = "" if parts.instance is None else "@" + parts.instance
    assert parts.prefix + instance + parts.suffix == name
    assert parts.stem + parts.suffix == name


@given(unit_names())
def test_a_generated_name_is_valid_and_stays_itself_when_mangled(name: str) -> None:
    validate_name(name)
    assert mangle(name) == name


@pytest.mark.parametrize(
    ("name", "expanded"),
    [
        ("foo@bar.waldo", "foo@bar.waldo foo@bar foo bar"),  # F-109
        ("foo@bar.service", "foo@bar.service foo@bar foo bar"),
        ("ssh@2.service", "ssh@2.service ssh@2 ssh 2"),  # F-105
        ("test.service", "test.service test test "),  # F-105
        ("foo.service", "foo.service foo foo "),
        ("foo@.service", "foo@.service foo@ foo "),
        ("foo", "%n %N %p %i"),
    ],
)
def test_the_four_specifiers(name: str, expanded: str) -> None:
    assert expand("%n %N %p %i", name) == expanded


@pytest.mark.parametrize("value", ["plain", "100%", "%H %m %b", "% n"])
def test_nothing_else_is_expanded(value: str) -> None:
    """F-105: other text stays as it is."""
    assert expand(value, "foo@bar.service") == value


def test_a_doubled_percent_is_no_escape() -> None:
    assert expand("%%i", "foo@bar.service") == "%bar"


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("*", "abc", True),
        ("*", "", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*", "abc", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*", "axbxcxdxe", True),
        ("a*b*c*d*e*", "axbxcxdxexxx", True),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("*ab", "aab", True),
        ("*a*ab", "aaab", True),
        ("**a", "ba", True),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^b-d]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("[!a]", "!", True),
        ("[!a]", "b", False),
        ("[^a]", "^", True),
        ("[a^]", "^", True),
        ("[z-a]", "m", False),
        ("[^z-a]", "m", True),
        ("[[]", "[", True),
        ("[&&|~]", "&", True),
        ("a?b", "a☺b", True),
        ("a[^a]b", "a☺b", True),
        ("a???b", "a☺b", False),
        ("[a-ζ]*", "α", True),
        ("*[a-ζ]", "A", False),
        ("a?b", "a/b", False),
        ("a*b", "a/b", False),
        ("a[^x]b", "a/b", True),
        ("a.b", "axb", False),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("[\\]a]", "]", True),
        ("[\\-]", "-", True),
        ("[x\\-]", "x", True),
        ("[x\\-]", "-", True),
        ("[x\\-]", "z", False),
        ("[\\-x]", "a", False),
        ("?", "\n", True),
        ("a", "a\n", False),
        ("a*", "a\n", True),
        ("web@*.service", "web@12.service", True),
        ("web@*.service", "web@.service", True),
        ("web@*.service", "web@12.socket", False),
        # F-087
        ("*", "foo.service", True),
        ("foo.*", "foo.service", True),
        ("foo@*.service", "foo@1.service", True),
        ("foo@[abc].service", "foo@b.service", True),
        ("foo@[abc].service", "foo@d.service", False),
        ("foo@?.service", "foo@a.service", True),
        ("foo@?.service", "foo@ab.service", False),
        ("foo.service", "bar.service", False),
        ("bar.*", "foo.service", False),
    ],
)
def test_globs_match_as_path_match_does(pattern: str, name: str, matches: bool) -> None:
    assert glob_matches(pattern, name) is matches
    assert compile_glob(pattern) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        "[]a]",
        "[-]",
        "[x-]",
        "[-x]",
        "[a-b-c]",
        "[",
        "[^",
        "[^bc",
        "a[",
        "[]",
        "[^]",
        "[a--]",
        "\\",
        "a\\",
        "[\\",
    ],
)
def test_a_malformed_pattern_matches_nothing(pattern: str) -> None:
    assert compile_glob(pattern) is None
    assert not any(glob_matches(pattern, name) for name in ("a", "]", "-", "x", "[", pattern))


def test_only_patterns_without_glob_characters_are_literal() -> None:
    assert is_literal("web@1.service")
    assert not any(is_literal(pattern) for pattern in ("*", "a?", "[a]", "a\\b"))


def slow_match(pattern: str, name: str) -> bool:
    """The rules for ``* ? \\`` written down as they are said, trying everything."""
    if not pattern:
        return not name
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        return slow_match(rest, name) or (bool(name) and name[0] != "/" and slow_match(pattern, name[1:]))
    if head == "\\":
        head, rest = rest[0], rest[1:]
        return name[:1] == head and slow_match(rest, name[1:])
    if head == "?":
        return bool(name) and name[0] != "/" and slow_match(rest, name[1:])
    return name[:1] == head and slow_match(rest, name[1:])


@given(
    st.lists(st.sampled_from(["*", "?", "a", "b", "/", ".", "\\*", "\\a"]), max_size=8).map("".join),
    st.text("ab/.*", max_size=9),
)
def test_globs_equal_the_slow_and_obvious_rule(pattern: str, name: str) -> None:
    assert glob_matches(pattern, name) == slow_match(pattern, name)


@given(st.text("a]b-^[\\*?c", max_size=8), st.text("ab]-^[\\c*?", max_size=4))
def test_no_pattern_is_an_accident(pattern: str, name: str) -> None:
    compiled = compile_glob(pattern)
    assert glob_matches(pattern, name) == bool(compiled and compiled.fullmatch(name))


def test_no_pattern_takes_long() -> None:
    started = time.perf_counter()
    assert not glob_matches("*a" * 60 + "b", "a" * MAX_LENGTH)
    assert not glob_matches("*[a-z]?" * 40 + "B", "a" * MAX_LENGTH)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("name", ["-.slice", "system.slice", "-.mount"])
def test_what_systemd_makes_everywhere_by_itself_is_no_name_of_ours(name: str) -> None:
    with pytest.raises(UnitError, match="belongs to systemd itself on every machine"):
        validate_name(name)
