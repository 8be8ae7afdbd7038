"""Unit files: the lexer's rules, exact bytes, normal form and hash.

Numbers like F-123 name fleet's own tests.
"""

from __future__ import annotations

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import UnitError
from fleetssh.core.unitfile import BLANKS, MAX_LINE, Option, UnitFile, locate, parse, unfold

Triple = tuple[str, str, str]
TRUE_HASH = "86943ac9f3754cb90f8dd38bf6da7b0cad074592"
TRUE = [("Service", "ExecStart", "/bin/true")]


def triples(file: UnitFile) -> list[Triple]:
    return [(option.section, option.name, option.value) for option in file.options]


# The hashes were computed by fleet's own code.
GOLDEN: list[tuple[str, list[Triple], str]] = [
    ("", [], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("[Unit]\n", [], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("[Service]\nExecStart=/bin/true\n", TRUE, TRUE_HASH),
    ("[Service]\nExecStart=/bin/true", TRUE, TRUE_HASH),
    ("[Service]\r\nExecStart=/bin/true\r\n", TRUE, TRUE_HASH),
    (" \t[Service] \t\n\n \n  ExecStart \t=\t /bin/true \t\n \n", TRUE, TRUE_HASH),
    ("junk\n[Service]\nExecStart=/bin/true\n", TRUE, TRUE_HASH),
    ("x=y\n[Service]\nExecStart=/bin/true\n", TRUE, TRUE_HASH),
    ("# [A]\n; x=y\n[Service]\n# a\nExecStart=/bin/true\n;b\n", TRUE, TRUE_HASH),
    ("\ufeff[Service]\nExecStart=/bin/true\n", TRUE, TRUE_HASH),
    ("[Service]\n# comment \\\nExecStart=/bin/false\nExecStart=/bin/true\n", TRUE, TRUE_HASH),
    (
        "[Service]\nExecStart=\nExecStart=/bin/true\n",
        [("Service", "ExecStart", ""), *TRUE],
        "873f58abc4adb5abd36ca2d94676242eca22f9a2",
    ),
    (
        "[Service]\nExecStart=/bin/a \\\n  b\n",
        [("Service", "ExecStart", "/bin/a \\\n  b")],
        "25df1dda904deba36d94d8ddd488ec14717a2277",
    ),
    (
        "[Service]\nExecStart=/bin/a \\ \n  b=c\n",
        [("Service", "ExecStart", "/bin/a \\"), ("Service", "b", "c")],
        "b4bc83e51891f86ea169bdc1839127302c1e30ca",
    ),
    (
        "[Service]\r\nExecStart=/bin/a \\\r\n  b=c\r\n",
        [("Service", "ExecStart", "/bin/a \\"), ("Service", "b", "c")],
        "b4bc83e51891f86ea169bdc1839127302c1e30ca",
    ),
    (
        "[Service]\nExecStart=/bin/a \\\n\nRestart=no\n",
        [("Service", "ExecStart", "/bin/a \\\n"), ("Service", "Restart", "no")],
        "6e11e9fa2f940ba9709ba39b5daa26f1da3cb843",
    ),
    (
        "[Service]\nExecStart=/bin/a \\",
        [("Service", "ExecStart", "/bin/a \\")],
        "51974a6a253cf035df29efeb06c6216f68a287f2",
    ),
    (
        "[A]\nx=1\n[B]\ny=2\n[A]\nz=3\n",
        [("A", "x", "1"), ("B", "y", "2"), ("A", "z", "3")],
        "b0ec5394d87ef22dd43bb992cc6676e4063f7351",
    ),
    ("[A]\n[B]\nk=v\n", [("B", "k", "v")], "791e7b51f514cfd96cfd667e2281938e5e29b105"),
    ("text before [A]\nk=v\n", [("A", "k", "v")], "8a1568aabedb6c884ca69aa010d74246ed8c5016"),
    ("[A]\n=v\n", [("A", "", "v")], "e0274e87c19e5afa8679234fdbbbfea227aba785"),
    (
        "[A]\nk=v # not comment\n",
        [("A", "k", "v # not comment")],
        "dcaddeefc803561100e0daabe37e2514a2fcd829",
    ),
    ("[A]\nk==v=w\n", [("A", "k", "=v=w")], "3c0f84b39dd0129a24d6d4d13ff38272a70ba6d9"),
    ("[Service]\nExecStart=é\n", [("Service", "ExecStart", "é")], "f4f1b2e0e8cf6c89045b63d8bb63d378095bf3da"),
    (
        '[X-Fleet]\nMachineMetadata="a=b" "c=d"\n',
        [("X-Fleet", "MachineMetadata", '"a=b" "c=d"')],
        "0f6123a27ca52820149a3e3535f2e1a1d0665f67",
    ),
    # F-123
    (
        "[Service]\nExecStart=/bin/sleep 100\n",
        [("Service", "ExecStart", "/bin/sleep 100")],
        "1c6fb6f3684bafb0c173d8b8b957ceff031180c1",
    ),
    # F-055: what list-unit-files shows as the hash of this unit
    (
        "[Unit]\nDescription=some description\n",
        [("Unit", "Description", "some description")],
        "a0f275d46bc6ee0eca06be7c339913c07d99c0c7",
    ),
    # F-231, F-232: files on a disk, with and without blank lines around
    (
        "[Service]\nExecStart=/usr/bin/sleep infinity\n",
        [("Service", "ExecStart", "/usr/bin/sleep infinity")],
        "40ea6646945809f4b420a50475ee68503088f127",
    ),
    (
        "\n[Service]\nExecStart=/usr/bin/sleep infinity",
        [("Service", "ExecStart", "/usr/bin/sleep infinity")],
        "40ea6646945809f4b420a50475ee68503088f127",
    ),
    (
        "[Service]\nExecStart=/usr/bin/sleep 10\n",
        [("Service", "ExecStart", "/usr/bin/sleep 10")],
        "5bf16b98c62f35fcdc723d32989cdeba7a2dd2a8",
    ),
    (
        "[Service]\nExecStart=/usr/bin/sleep 2000\n",
        [("Service", "ExecStart", "/usr/bin/sleep 2000")],
        "5ba5292ab6a82b623ee6086dc90b3354ba004832",
    ),
]

# What fleet's own tests of its parser say, in short.
COMMENTS_AND_REPEATS = r"""This=Ignored
[Unit]
;ignore this guy
Description = Foo

[Service]
ExecStart=echo "ping";
ExecStop=echo "pong"
# ignore me, too
ExecStop=echo post

[X-Fleet]
X-ConditionMachineMetadata=foo=bar
X-ConditionMachineMetadata=baz=qux
"""
GARBAGE = r""">>>>>>>>>>>>>
[Service]
ExecStart=jim
# an equals sign makes an option of any line
<<<<<<<<<<<=bar
"""
CONTINUED = r"""[Service]
ExecStart=echo \
  "pi\
  ng"
ExecStop=\
echo "po\
ng"
# outside a value this is a comment
ExecStopPost=echo\
#pang
"""
FROM_FLEET: list[tuple[str, list[Triple]]] = [
    (
        COMMENTS_AND_REPEATS,
        [
            ("Unit", "Description", "Foo"),
            ("Service", "ExecStart", 'echo "ping";'),
            ("Service", "ExecStop", 'echo "pong"'),
            ("Service", "ExecStop", "echo post"),
            ("X-Fleet", "X-ConditionMachineMetadata", "foo=bar"),
            ("X-Fleet", "X-ConditionMachineMetadata", "baz=qux"),
        ],
    ),
    (GARBAGE, [("Service", "ExecStart", "jim"), ("Service", "<<<<<<<<<<<", "bar")]),
    (
        CONTINUED,
        [
            ("Service", "ExecStart", 'echo \\\n  "pi\\\n  ng"'),
            ("Service", "ExecStop", '\\\necho "po\\\nng"'),
            ("Service", "ExecStopPost", "echo\\\n#pang"),
        ],
    ),
]


@pytest.mark.parametrize(("text", "options"), FROM_FLEET, ids=["F-129", "F-130", "F-131"])
def test_what_fleets_parser_reads(text: str, options: list[Triple]) -> None:
    """F-129, F-130, F-131; and F-132: printed and parsed again, the values are the same."""
    file = parse(text.encode())
    assert triples(file) == options
    assert triples(parse(file.normal_form.encode())) == options


@pytest.mark.parametrize(("text", "options", "expected"), GOLDEN)
def test_golden_vectors_of_fleet(text: str, options: list[Triple], expected: str) -> None:
    file = parse(text.encode())
    assert triples(file) == options
    assert file.hash == expected


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("junk # [A]\n[B]\nk=v", [("B", "k", "v")]),
        ("junk ; x \\\n[A]\nk=v\n[B]\nl=w", [("B", "l", "w")]),
        ("[A\nB]\nk=v", [("A\nB", "k", "v")]),
        ("before [A\n\n# B]  \nk=v", [("A\n\n# B", "k", "v")]),
        ("[]\nk=v", [("", "k", "v")]),
        ("[A]", []),
        ("[A]\n  [B]\nk=v", [("B", "k", "v")]),
        ("[A]\n#\\ \nk=v\nl=w", [("A", "l", "w")]),
        ("[A]\n#\\  \nk=v", [("A", "k", "v")]),
        ("[A]\n# a\\\n# b\\\nk=v\nl=w", [("A", "l", "w")]),
        ("[A]\n#\\\r\nk=v\r\n", [("A", "k", "v")]),
        ("[A]\n# to the end \\", []),
        ("[A]\nk=a \\\n# no comment\nl=w", [("A", "k", "a \\\n# no comment"), ("A", "l", "w")]),
        ("[A]\nk=a \\\n[B]\nl=w", [("A", "k", "a \\\n[B]"), ("A", "l", "w")]),
        ("[A]\nk=\\\n  a\\\n\tb  \n", [("A", "k", "\\\n  a\\\n\tb")]),
        ("[A]\nk=a\\\n \t\nl=w", [("A", "k", "a\\\n"), ("A", "l", "w")]),
        ("[A]\nk=a\\\n", [("A", "k", "a\\\n")]),
        ("[A]\nk=\\b", [("A", "k", "\\b")]),
        ("[A]\n k x = v", [("A", "k x", "v")]),
        ("[A]\nk=\u00a0v\u2003\n", [("A", "k", "v")]),
        ("[A]\nk=\x1cv\x1f\n", [("A", "k", "\x1cv\x1f")]),
        ("[A]\nk=a\x0bb\x0cc\x1dd\u2028e\n", [("A", "k", "a\x0bb\x0cc\x1dd\u2028e")]),
        ("[A]\rk=v\n[B]", None),
        ("[A]\nk=1\nk=\nk=1\n", [("A", "k", "1"), ("A", "k", ""), ("A", "k", "1")]),
    ],
)
def test_the_lexers_finer_rules(text: str, options: list[Triple] | None) -> None:
    if options is None:
        with pytest.raises(UnitError):
            parse(text.encode())
    else:
        assert triples(parse(text.encode())) == options


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (b"x\n[Unit\nA=b\n", "a.service:2", "unable to find end of section"),
        (b"[A]\nk=v\n[", "a.service:3", "unable to find end of section"),
        (b"[A] k=v\n", "a.service:1", "found garbage after section name [A]: 'k=v'"),
        (b"\n[A\nB] # c\n", "a.service:3", "found garbage after section name"),
        # F-135: the next two
        (b"[A]\n\njunk \nk=v\n", "a.service:3", "line without '=': 'junk'"),
        (b"[A]\nk=v\njunk", "a.service:3", "line without '=': 'junk'"),
        (b"[A]\nk=\xff\n", "a.service:2", "must be UTF-8"),
        (b"[A]\nk=v\n\nl=\0\n", "a.service:4", "NUL"),
    ],
)
def test_what_is_no_unit_file_is_refused_with_its_line(text: bytes, where: str, words: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse(text, "a.service")
    assert caught.value.where == where
    assert words in caught.value.reason
    assert caught.value.message.startswith(where + ": ")


def test_without_a_source_the_line_is_told_alone() -> None:
    assert locate("", 3) == "line 3"
    with pytest.raises(UnitError, match=r"^line 2: line without"):
        parse(b"[A]\njunk\n")


def test_a_line_may_have_2047_bytes_and_no_more() -> None:
    assert parse(b"[A]\nk=" + b"x" * 2045 + b"\n").values("A", "k") == ("x" * 2045,)
    with pytest.raises(UnitError, match=r"^f:2: line too long: 2048 bytes"):
        parse(b"[A]\nk=" + b"x" * 2046 + b"\n", "f")


@pytest.mark.parametrize("text", [b"#" + b"x" * MAX_LINE, b"[A]\nk=\\\n" + b"x" * 2048 + b"\n", b"x" * 5000])
def test_the_line_limit_holds_for_every_line(text: bytes) -> None:
    with pytest.raises(UnitError, match="line too long"):
        parse(text)


def test_the_line_limit_counts_bytes() -> None:
    parse(b"[A]\n" + ("k=" + "é" * 1022).encode())
    with pytest.raises(UnitError, match="line too long"):
        parse(b"[A]\n" + ("k=" + "é" * 1023).encode())


def test_a_continued_value_may_be_longer_than_a_line() -> None:
    value = "x" * 1500 + "\\\n" + "y" * 1500
    assert parse(f"[A]\nk={value}\n".encode()).first("A", "k") == value


def test_options_tell_the_line_where_they_begin() -> None:
    file = parse(b"junk\n[A\nB]\n# c \\\nx=y\nk=1 \\\n 2\n\nl=3\n")
    assert file.options == (Option("A\nB", "k", "1 \\\n 2", 6), Option("A\nB", "l", "3", 9))


def test_normal_form_merges_sections_in_order_of_appearance() -> None:
    file = parse(b"[A]\nx=1\n[B]\ny=2\n[A]\nz=3\n")
    assert file.normal_form == "[A]\nx=1\nz=3\n\n[B]\ny=2\n"


def test_the_bytes_are_kept_and_digested() -> None:
    text = b"\xef\xbb\xbf# hello\r\n[A]\r\nk = v"
    file = parse(text)
    assert file.text == text
    assert file.digest == hashlib.sha1(text).hexdigest()


def test_values_are_found_by_exact_section_and_name() -> None:
    file = parse(b"[A]\nk=1\nK=2\nk=\n[a]\nk=3\n")
    assert file.values("A", "k") == ("1", "")
    assert file.first("A", "k") == "1"
    assert file.first("A", "x") is None
    assert file.values("B", "k") == ()


def test_unfold_reads_continuations_as_systemd_does() -> None:
    assert unfold("a \\\n  b\\\nc") == "a    b c"
    assert unfold("a \\\n") == "a"
    assert unfold("a\\b") == "a\\b"


# ---------------------------------------------------------------- properties


class SlowLexer:
    """The rules one character at a time, as they are told (without the line limit)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.section: str | None = None
        self.found: list[Triple] = []

    def run(self) -> list[Triple]:
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "[":
                self.header()
            elif char in "#;":
                self.comment()
            elif self.section is None or char in BLANKS:
                self.at += 1
            else:
                self.option(self.section)
        return self.found

    def until(self, stop: str) -> str:
        """Up to ``stop``, which is swallowed, or to the end of the file."""
        end = self.text.find(stop, self.at)
        end = len(self.text) if end < 0 else end
        passed, self.at = self.text[self.at : end], end + 1
        return passed

    def header(self) -> None:
        if "]" not in self.text[self.at :]:
            raise ValueError
        self.section = self.until("]")[1:]
        if self.until("\n").strip(BLANKS):
            raise ValueError

    def comment(self) -> None:
        while self.until("\n").removesuffix(" ").endswith("\\"):
            pass

    def option(self, section: str) -> None:
        if "=" not in self.text[self.at :]:
            raise ValueError
        name = self.until("=")
        if "\n" in name:
            raise ValueError
        value = ""
        while (line := self.until("\n")).strip(BLANKS):
            value += line
            if not line.endswith("\\") or self.at > len(self.text):
                break
            value += "\n"
        newline = "\n" if value.endswith("\n") else ""
        self.found.append((section, name.strip(BLANKS), value.strip(BLANKS) + newline))


@pytest.mark.parametrize(("text", "options", "expected"), GOLDEN)
def test_the_slow_lexer_knows_the_golden_vectors(text: str, options: list[Triple], expected: str) -> None:
    assert SlowLexer(text).run() == options


TEXTS = st.lists(
    st.sampled_from(
        ["[", "]", "[A]\n", "[B]", "\n", "k=v\n", "=", "\\", "\\\n", " ", "\t", "\r\n", "#", ";", "x", "é"]
    ),
    max_size=25,
).map("".join)


@given(TEXTS)
def test_lines_give_what_the_slow_and_obvious_lexer_gives(text: str) -> None:
    try:
        expected = SlowLexer(text).run()
    except ValueError:
        with pytest.raises(UnitError):
            parse(text.encode())
    else:
        assert triples(parse(text.encode())) == expected


@given(st.binary(max_size=200))
def test_any_bytes_give_a_file_or_a_unit_error(text: bytes) -> None:
    try:
        assert parse(text).text == text
    except UnitError as error:
        assert error.where.startswith("line ")


WORDS = st.text("abcXYZ09 /-_%é", min_size=1, max_size=12).map(str.strip).filter(bool)
CLEAN = st.lists(st.tuples(WORDS, WORDS, WORDS | st.just("")), max_size=8)


@given(CLEAN)
def test_the_normal_form_parses_to_itself(options: list[Triple]) -> None:
    """F-132"""
    text = "".join(f"[{section}]\n{name}={value}\n" for section, name, value in options)
    file = parse(text.encode())
    assert triples(file) == options
    again = parse(file.normal_form.encode())
    assert again.normal_form == file.normal_form
    assert again.hash == file.hash


@given(CLEAN, st.sampled_from(["# c\n", "\n", " \t\n", "; x=y\n"]))
def test_comments_and_blanks_change_the_digest_but_not_the_hash(options: list[Triple], noise: str) -> None:
    text = "".join(f"[{section}]\n{name}={value}\n" for section, name, value in options)
    noisy = (
        "".join(f"{noise} [{section}] \n{noise}{name} = {value} \n" for section, name, value in options)
        + noise
    )
    file, other = parse(text.encode()), parse(noisy.encode())
    assert file.hash == other.hash
    assert file.digest != other.digest


def test_a_thousand_units_are_read_in_a_blink() -> None:
    text = (
        b"[Unit]\nDescription=web\n\n[Service]\nExecStart=/bin/web %i\nRestart=no\n\n[X-Fleet]\nGlobal=true\n"
    )
    started = time.perf_counter()
    for _ in range(1000):
        parse(text)
    assert time.perf_counter() - started < 0.5  # about 10 ms; the rest is for a busy machine


def test_an_unclosed_section_in_a_large_file_is_found_fast() -> None:
    started = time.perf_counter()
    with pytest.raises(UnitError, match="unable to find end of section"):
        parse(b"[A\n" * 200_000)
    assert time.perf_counter() - started < 2
