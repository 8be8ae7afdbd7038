import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.cli.render import duration, machine_title, pairs, plural, short_hash, table

# ruff: noqa: E501
# Copied from a real fleetctl, tabs and all.
FROM_FLEET = {
    "machines": """\
MACHINE		IP		METADATA
0b2e8d25...	10.232.0.11	disk=ssd,region=eu-west
7c73a89b...	10.232.0.12	disk=hdd,region=eu-west
9305d3c7...	10.232.0.13	disk=ssd,region=us-east""",
    "machines in full": """\
MACHINE					IP		METADATA
0b2e8d256ae17a74522b8dce625be8a2	10.232.0.11	disk=ssd,region=eu-west
7c73a89bc94e21ac5b3b794e7c9ee034	10.232.0.12	disk=hdd,region=eu-west
9305d3c7c1c89a689804f05f162d2fde	10.232.0.13	disk=ssd,region=us-east""",
    "units": """\
UNIT			MACHINE			ACTIVE		SUB
web-presence@1.service	9305d3c7.../10.232.0.13	active		running
web-presence@2.service	0b2e8d25.../10.232.0.11	inactive	dead
web@3.service		7c73a89b.../10.232.0.12	active		running""",
    "no units": "UNIT	MACHINE	ACTIVE	SUB",
    "a global unit": """\
UNIT		HASH	DSTATE		STATE	TARGET
mon.service	cfa4382	launched	-	global""",
    "unit files": """\
UNIT			HASH	DSTATE		STATE		TARGET
web-presence@1.service	7f6ee58	launched	launched	9305d3c7.../10.232.0.13
web-presence@2.service	7f6ee58	loaded		loaded		0b2e8d25.../10.232.0.11
web@1.service		d5b461e	launched	launched	9305d3c7.../10.232.0.13""",
    "unit files in full": """\
UNIT		HASH						DESC	DSTATE		STATE		TARGET						GLOBAL
ping.service	d9de011694dda111458a4fc9912ad629d86ad8af	PING	launched	launched	0b2e8d256ae17a74522b8dce625be8a2/10.232.0.11	false
pong.service	667e8dead419d2cce5a664c0ba586ca33217f286	PONG	launched	launched	0b2e8d256ae17a74522b8dce625be8a2/10.232.0.11	false""",
}  # fmt: skip


@pytest.mark.parametrize("printed", FROM_FLEET.values(), ids=FROM_FLEET)
def test_a_table_is_byte_for_byte_what_fleet_printed(printed):
    rows = [[cell for cell in line.split("\t") if cell] for line in printed.splitlines()]
    assert "\n".join(table(rows)) == printed


CELLS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5))
def test_on_a_terminal_every_column_begins_in_one_place(rows):
    lines = [line.expandtabs(8) for line in table(rows)]
    for column in (1, 2):
        starts = {_start(line, row, column) for line, row in zip(lines, rows, strict=True)}
        assert len(starts) == 1


def _start(line, row, column):
    at = 0
    for cell in row[:column]:
        at = line.index(cell, at) + len(cell)
        at += len(line[at:]) - len(line[at:].lstrip())
    return at


def test_small_words():
    assert pairs({"region": "eu", "disk": "ssd"}) == "disk=ssd,region=eu"
    assert pairs({}) == "-"
    assert [duration(s) for s in (-0.2, 0, 59.4, 119, 120, 7200, 200_000)] == [
        "0s", "0s", "59s", "119s", "2m", "2h", "2d"
    ]  # fmt: skip
    assert machine_title("0b2e8d256ae17a74", "10.0.0.1", full=False) == "0b2e8d25.../10.0.0.1"
    assert machine_title("0b2e8d256ae17a74", "", full=True) == "0b2e8d256ae17a74"
    assert short_hash("0b2e8d256ae17a74", full=False) == "0b2e8d2"
    assert [short_hash("0b2e8d256ae17a74", full=True), short_hash("", full=True)] == ["0b2e8d256ae17a74", "-"]
    assert [plural(1, "machine"), plural(0, "machine")] == ["1 machine", "0 machines"]
