"""One set of columns as a table, as JSON and as YAML; and the documented shapes against the program's."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.cli import events, files, machines
from fleetssh.cli.formats import Column, Format, Listing, as_text, choose, dump
from fleetssh.cli.main import ENTRIES, program
from fleetssh.cli.objects import plan_object, why_object
from fleetssh.control.result import Pass
from fleetssh.control.survey import Survey
from fleetssh.core.errors import CommandError
from fleetssh.core.model import (
    Action,
    Health,
    Layout,
    MachinePlan,
    Move,
    Placement,
    Plan,
    Refusal,
    State,
    Step,
)
from fleetssh.core.sighting import Failure, Unreached
from tests.core.world import find, reach, up, want

COLUMNS = {
    "name": Column(lambda row: row),
    "length": Column(len, lambda row, full: f"{len(row)} characters" if full else str(len(row))),
    "first": Column(lambda row: row[:1] or None, rare=True),
}


def listed(rows, fields=None, format=Format.TABLE, *, legend=True, full=False):
    return Listing(COLUMNS, choose(COLUMNS, fields, "name", format), format, legend, full).lines(rows)


def read(lines, format):
    text = "\n".join(lines)
    return json.loads(text) if format is Format.JSON else yaml.safe_load(text)


OBJECTS = (Format.JSON, Format.YAML)

# ---------------------------------------------------------------- tables


def test_fields_choose_columns_their_order_and_repeats():
    assert listed(["ab"], "length,name,length") == ["LENGTH\tNAME\tLENGTH", "2\tab\t2"]
    assert listed(["ab"]) == ["NAME", "ab"]


def test_without_a_legend_nothing_is_nothing():
    assert listed([], legend=False) == []
    assert listed([]) == ["NAME"]


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize(
    ("fields", "message"),
    [("", "Must define output format"), ("name,x", 'Invalid key in output format: "x"'),
     ("name,", 'Invalid key in output format: ""')],
)  # fmt: skip
def test_a_wrong_field_is_told_in_fleets_words(fields, message, format):
    with pytest.raises(CommandError) as caught:
        listed(["ab"], fields, format)
    assert caught.value.message == message
    assert caught.value.hint == "there are: name,length,first"


def test_a_cell_is_what_people_read():
    assert listed([""], "name,first", legend=False) == ["-\t-"]
    assert listed(["ab"], "length", legend=False, full=True) == ["2 characters"]
    assert [as_text(value) for value in (True, 0, 1.5, 2.0, {"b": 1, "a": 2}, {}, ["x", "y"], [])] == [
        "true", "0", "1.5", "2", "a=2,b=1", "-", "x,y", "-"
    ]  # fmt: skip


# ---------------------------------------------------------------- objects


@pytest.mark.parametrize("format", OBJECTS)
def test_objects_have_every_common_field_and_rare_ones_when_asked_for(format):
    assert read(listed(["ab", ""], format=format), format) == [
        {"name": "ab", "length": 2},
        {"name": "", "length": 0},
    ]
    assert read(listed(["ab", ""], "first", format), format) == [{"first": "a"}, {"first": None}]


@pytest.mark.parametrize("format", OBJECTS)
def test_objects_keep_the_order_of_the_fields(format):
    (row,) = read(listed(["ab"], "length,first,name", format), format)
    assert list(row) == ["length", "first", "name"]


@pytest.mark.parametrize("format", OBJECTS)
def test_nothing_is_an_empty_list(format):
    assert listed([], format=format, legend=False) == ["[]"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
@pytest.mark.parametrize("format", OBJECTS)
def test_what_scripts_read_is_what_was_meant_in_lines_that_steer_no_terminal(format, value):
    lines = dump({"value": value}, format)
    assert read(lines, format) == {"value": value}
    assert all(line.isascii() and line.isprintable() for line in lines)


@pytest.mark.parametrize("text", ["1e3", "0o17", "12345678", "1:30", "+1", ".5", "yes", "null", "2026-11-21"])
def test_text_that_looks_like_something_else_is_quoted_for_every_version_of_yaml(text):
    assert dump([text], Format.YAML) == [f"- '{text}'"]


@pytest.mark.parametrize("format", OBJECTS)
def test_numbers_are_numbers_words_are_words_and_equal_things_are_written_twice(format):
    metadata = {"disk": "ssd"}
    lines = dump([1.23456, 0.0, Health.UP, metadata, metadata], format)
    assert read(lines, format) == [1.235, 0.0, "up", metadata, metadata]
    assert "&" not in "".join(lines)


@pytest.mark.parametrize("format", OBJECTS)
def test_bytes_that_are_no_text_are_shown_as_such(format):
    assert read(dump("a\udcffb", format), format) == r"a\udcffb"


# ---------------------------------------------------------------- the verbs that touch no machine


def test_list_unit_files_for_scripts(fleetssh, hello):
    fleetssh("submit", "hello")
    (row,) = json.loads(fleetssh("list-unit-files", "-o", "json").out)
    assert (row.pop("hash")[:7], len(row)) == ("e55c0ae", 8)
    assert row == {
        "unit": "hello.service", "dstate": "inactive", "state": "inactive", "target": None, "global": False,
        "desc": "Hello World", "ip": None, "host": None,
    }  # fmt: skip
    asked = ("list-unit-files", "--output=yaml", "--fields", "desc,global", "--no-legend", "-l")
    assert fleetssh(*asked).out == "- desc: Hello World\n  global: false\n"


@pytest.mark.parametrize("verb", ["list-unit-files", "events"])
@pytest.mark.parametrize("format", OBJECTS)
def test_an_empty_answer_is_an_answer(fleetssh, verb, format):
    ran = fleetssh(verb, "-o", format)
    assert (ran.code, ran.out, ran.err) == (0, "[]\n", "")


LISTING_VERBS = ["list-machines", "list-units", "list-unit-files", "events", "plan", "why x"]


@pytest.mark.parametrize("verb", LISTING_VERBS)
def test_an_unknown_format_is_a_usage_error(fleetssh, verb):
    ran = fleetssh(*verb.split(), "-o", "xml")
    assert (ran.code, ran.out) == (2, "")
    assert "'xml' is not one of 'table', 'json', 'yaml'" in ran.err


@pytest.mark.parametrize(
    ("argv", "code"), [("list-units --fields nope", 1), ("why absent", 1), ("list-machines", 1), ("plan", 1)]
)
def test_what_ends_in_an_error_leaves_standard_output_empty(fleetssh, argv, code):
    ran = fleetssh(*argv.split(), "-o", "json")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err


# ---------------------------------------------------------------- documented shapes

PAGE = (Path(__file__).parents[2] / "docs" / "output.md").read_text(encoding="utf-8")


def section(verb):
    match = re.search(rf"^## {verb}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match, f"docs/output.md has no section {verb}"
    return match[1]


def documented(verb):
    """The names in the first column of the table of fields."""
    table = section(verb).partition("| field |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


def example(verb):
    return json.loads(section(verb).partition("```json\n")[2].partition("```")[0])


SHAPES = {
    "list-machines": machines.MACHINE_COLUMNS,
    "list-units": machines.UNIT_COLUMNS,
    "list-unit-files": files.COLUMNS,
    "events": events.COLUMNS,
}


@pytest.mark.parametrize("verb", SHAPES)
def test_the_documented_fields_are_the_programs(verb):
    assert sorted(documented(verb)) == sorted(SHAPES[verb])
    assert [list(row) for row in example(verb)] == [[n for n, c in SHAPES[verb].items() if not c.rare]]


def test_every_verb_with_formats_is_documented():
    context = program.make_context("fleetssh", ["help"])
    taking = {
        name
        for name in ENTRIES
        for param in program.get_command(context, name).params
        if list(getattr(param.type, "choices", ())) == list(Format)
    }
    assert taking == set(re.findall(r"^## ([a-z][a-z-]+)$", PAGE, re.MULTILINE))
    assert taking == {verb.split()[0] for verb in LISTING_VERBS}


A, B = "a.service", "b.service"
STATE = State("c1", 1, {A: want(A), B: want(B, is_global=True)})
LAYOUT = Layout(
    {A: Placement(A, "m1", "least loaded")},
    {"m1": frozenset({B})},
    {"x.service": (Refusal("m1", "is full"),)},
    (Move(A, None, "m1", "least loaded"),),
)
STEPS = (Step(Action.WRITE, A, "new"), Step(Action.RELOAD, "", "unit files change"))
PLAN = Plan(LAYOUT, ((MachinePlan("h1", "m1", STEPS),), (MachinePlan("h1", "m1", STEPS[:1]),)), ("a remark",))
LOOKS = {"h1": reach(up(1), find(A)), "h2": Unreached("h2", Failure.TIMEOUT, "no answer"),
         "h9": Unreached("h9", Failure.REFUSED)}  # fmt: skip
SEEN = Survey(LOOKS, {}, (up(1), up(2, health=Health.DOUBTFUL)), "two are silent")
PLANNED = Pass(STATE, SEEN, PLAN, LOOKS, {})


def paths(value, at=""):
    """Every field of an object, with those of the objects in its lists."""
    for key, item in value.items():
        yield f"{at}{key}"
        if isinstance(item, list | tuple) and item and isinstance(item[0], dict):
            yield from paths(item[0], f"{at}{key}[].")


def test_the_documented_shape_of_plan_is_the_programs():
    found = plan_object(PLANNED)
    assert documented("plan") == list(paths(found))
    assert list(example("plan")) == list(found)


def test_the_documented_shape_of_why_is_the_programs():
    found = why_object(A, PLANNED, [Refusal("m1", "it is here"), Refusal("m2", "does not answer")])
    assert documented("why") == list(paths(found))
    assert list(example("why")) == list(found)


def test_a_plan_for_scripts():
    found = plan_object(PLANNED)
    assert found["pending"] is True
    assert found["moves"] == [{"unit": A, "from": None, "to": "m1", "reason": "least loaded"}]
    assert [(step["wave"], step["action"], step["unit"]) for step in found["steps"]] == [
        (1, "write", A), (1, "reload", None), (2, "write", A)
    ]  # fmt: skip
    assert found["unplaced"] == [
        {"unit": "x.service", "machines": [{"machine": "m1", "host": "h1", "reason": "is full"}]}
    ]
    assert found["unreached"] == [
        {"machine": "m2", "host": "h2", "health": "doubtful", "problem": "timed out: no answer"},
        {"machine": None, "host": "h9", "health": None, "problem": "connection refused"},
    ]
    assert (found["remarks"], found["alarm"]) == (("a remark",), "two are silent")
    quiet = Pass(STATE, Survey({}, {}, ()), Plan(Layout({}, {}, {})), {}, {})
    found = plan_object(quiet)
    assert (found["pending"], found["alarm"]) == (False, None)
    assert all(not found[name] for name in ("moves", "steps", "unplaced", "unreached", "remarks"))


def test_why_tells_what_a_unit_waits_for():
    waiting = replace(
        PLANNED, plan=replace(PLANNED.plan, remarks=(f"Unit {A} waits: h2 has it", "Unit x waits: y"))
    )
    assert why_object(A, waiting, [])["waits"] == "waits: h2 has it"
    assert why_object(B, waiting, [])["waits"] is None


@pytest.mark.parametrize(("unit", "machine", "is_global"), [(A, "m1", False), (B, None, True)])
def test_why_tells_on_which_machines_a_unit_belongs(unit, machine, is_global):
    found = why_object(unit, PLANNED, [Refusal("m1", "it is here"), Refusal("m2", "no")])
    assert (found["machine"], found["global"], found["dstate"]) == (machine, is_global, "launched")
    assert [(line["host"], line["here"]) for line in found["machines"]] == [("h1", True), ("h2", False)]
