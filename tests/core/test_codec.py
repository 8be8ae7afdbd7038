"""Values come back from JSON as they went in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core import codec
from fleetssh.core.errors import StoreError
from fleetssh.core.model import Requirements, Seen, TargetState

ANY_TEXT = st.text(st.characters(), max_size=8)  # lone surrogates too
TEXTS = st.lists(ANY_TEXT, max_size=3).map(tuple)
REQUIREMENTS = st.builds(
    Requirements,
    machine_id=st.none() | ANY_TEXT,
    machine_of=TEXTS,
    metadata=st.lists(st.tuples(ANY_TEXT, TEXTS), max_size=3).map(tuple),
    conflicts=TEXTS,
    replaces=TEXTS,
    is_global=st.booleans(),
    lease=st.none() | st.integers(0, 10**9),
)


@given(REQUIREMENTS)
def test_requirements_come_back_as_they_went_in(requirements):
    text = codec.encode_requirements(requirements)
    assert codec.decode_requirements(text) == requirements
    assert text.isascii()


@given(TEXTS)
def test_names_come_back_as_they_went_in(names):
    assert codec.decode_names(codec.encode_names(names)) == names


@given(st.dictionaries(ANY_TEXT, ANY_TEXT))
def test_metadata_comes_back_as_it_went_in(metadata):
    assert codec.decode_metadata(codec.encode_metadata(metadata)) == metadata


SEEN = st.builds(
    Seen, ANY_TEXT, st.sampled_from(TargetState), ANY_TEXT, ANY_TEXT, ANY_TEXT, st.integers(0, 10**9)
)


@given(st.lists(SEEN, max_size=3).map(tuple))
def test_what_was_seen_of_units_comes_back_as_it_went_in(seen):
    """F-180, F-181; F-183: all of several."""
    assert codec.decode_seen(codec.encode_seen(seen)) == seen


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", "null", "[1]", "[[]]", '[["a","launched","loaded","active"]]', '[["a","gone","","",""]]',
     '[["a","launched","loaded","active",1]]', '[["a","launched","loaded","active","running","60"]]',
     '[["a","launched","loaded","active","running",-1]]', '[["a","launched","loaded","active","",true]]',
     '[["a","launched","loaded","active","running",60,1]]', '["abcde"]'],
)  # fmt: skip
def test_damaged_words_about_units_are_refused(text):
    """F-110, F-182, F-184: an error, and no state; fleet skipped such an entry among several (F-183)."""
    with pytest.raises(StoreError, match="cannot be understood"):
        codec.decode_seen(text)


def test_what_was_seen_before_there_were_leases_is_still_read():
    old = Seen("a.service", TargetState.LAUNCHED, "loaded", "active", "running")
    assert codec.encode_seen((old,)) == '[["a.service","launched","loaded","active","running"]]'
    assert codec.decode_seen('[["a.service","launched","loaded","active","running"]]') == (old,)


@pytest.mark.parametrize("lease", [0, 60])
def test_a_lease_makes_version_two_because_a_reader_of_version_one_would_pass_over_it(lease):
    requirements = Requirements(lease=lease)
    text = f'{{"lease":{lease},"version":2}}'
    assert codec.encode_requirements(requirements) == text
    assert codec.decode_requirements(text) == requirements
    assert codec.encode_requirements(Requirements()) == '{"version":1}'


def test_form_of_version_one():
    requirements = Requirements(
        machine_id="14ffe4c3",
        machine_of=("db.service",),
        metadata=(("region", ("eu", "us")),),
        conflicts=("web@*",),
        replaces=("old.service",),
        is_global=True,
    )
    text = (
        '{"conflicts":["web@*"],"is_global":true,"machine_id":"14ffe4c3","machine_of":["db.service"],'
        '"metadata":[["region",["eu","us"]]],"replaces":["old.service"],"version":1}'
    )
    assert codec.encode_requirements(requirements) == text
    assert codec.decode_requirements(text) == requirements
    assert codec.encode_requirements(Requirements()) == '{"version":1}'


@pytest.mark.parametrize("version", [3, 0, None, "1", "x"])
def test_unknown_version_is_refused(version):
    with pytest.raises(StoreError, match=f"have version {version!r}, this fleetssh knows those up to 2"):
        codec.decode_requirements(json.dumps({"version": version}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version":1,"machine_id":3}',
        '{"version":1,"is_global":1}',
        '{"version":2,"lease":"60"}',
        '{"version":2,"lease":-1}',
        '{"version":2,"lease":1.5}',
        '{"version":2,"lease":true}',
        '{"version":1,"machine_of":"db.service"}',
        '{"version":1,"conflicts":[1]}',
        '{"version":1,"replaces":null}',
        '{"version":1,"metadata":{}}',
        '{"version":1,"metadata":["ab"]}',
        '{"version":1,"metadata":[["a"]]}',
        '{"version":1,"metadata":[[1,["b"]]]}',
        '{"version":1,"metadata":[["a","b"]]}',
    ],
)
def test_damaged_requirements_are_refused(text):
    with pytest.raises(StoreError, match="cannot be understood"):
        codec.decode_requirements(text)


@pytest.mark.parametrize("text", ["", "{}", '"a"', "[1]", "[[]]"])
def test_damaged_names_are_refused(text):
    with pytest.raises(StoreError, match="cannot be understood"):
        codec.decode_names(text)


@pytest.mark.parametrize("text", ["", "[]", '{"a":1}', '{"a":null}'])
def test_damaged_metadata_is_refused(text):
    with pytest.raises(StoreError, match="cannot be understood"):
        codec.decode_metadata(text)
