"""Who tries whose SSH port, so that no machine is given up on one word."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.health import MAX_PROBES, WITNESSES, second_opinions
from fleetssh.core.model import MachineRecord
from fleetssh.core.visit import Probe

NOBODY: frozenset[str] = frozenset()


def record(host: str, *, silent: bool = False, failure: str = "", lost: bool = False) -> MachineRecord:
    return MachineRecord(
        host,
        f"m-{host}",
        address=f"10.0.0.{host[1:]}",
        missed=int(silent),
        silent_since=5.0 if silent else None,
        failure="timed out" if silent or lost else failure,
        lost=lost,
    )


def asked(*records: MachineRecord, fallen: frozenset[str] = NOBODY) -> dict[str, list[str]]:
    targets = {one.host: (one.host, 22) for one in records}
    made = second_opinions({one.host: one for one in records}, fallen, targets)
    return {witness: [probe.host for probe in probes] for witness, probes in made.items()}


def test_nobody_is_asked_while_all_answer() -> None:
    assert asked(*(record(f"h{number}") for number in range(1, 4))) == {}


def test_two_healthy_machines_try_a_silent_one() -> None:
    records = [record("h1", silent=True), *(record(f"h{number}") for number in range(2, 6))]
    assert asked(*records) == {"h2": ["h1", "h3"], "h3": ["h1", "h4"]}


def test_each_that_tries_also_tries_one_that_is_well_as_a_control() -> None:
    records = [record("h1", silent=True), record("h2", failure="disk full"), record("h3"), record("h4")]
    assert asked(*records) == {"h3": ["h1", "h4"], "h4": ["h1", "h3"]}
    targets = {one.host: ("", 22) for one in records}
    by_host = {one.host: one for one in records}
    by_host["h4"] = replace(by_host["h4"], address="")
    made = second_opinions(by_host, NOBODY, targets)
    assert [probe.host for probe in made["h3"]] == ["h1"]  # nobody knows where its control is


def test_a_control_is_tried_beside_as_many_as_are_tried_at_all() -> None:
    silent = [record(f"h{number}", silent=True) for number in range(10, 20)]
    made = asked(*silent, record("h1"), record("h2"))
    assert [len(hosts) for hosts in made.values()] == [MAX_PROBES + 1, MAX_PROBES + 1]
    assert (made["h1"][-1], made["h2"][-1]) == ("h2", "h1")


def test_of_two_machines_the_other_is_asked() -> None:
    assert asked(record("h1", silent=True), record("h2")) == {"h2": ["h1"]}
    assert asked(record("h1", silent=True)) == {}
    assert asked(record("h1", silent=True), record("h2", silent=True)) == {}


def test_a_connection_that_broke_since_the_last_look_is_tried_at_once() -> None:
    records = [record(f"h{number}") for number in range(1, 4)]
    assert asked(*records, fallen=frozenset({"h1", "unknown"})) == {"h2": ["h1", "h3"], "h3": ["h1", "h2"]}


def test_who_is_unwell_or_lost_neither_tries_nor_is_tried() -> None:
    records = [record("h1", silent=True), record("h2", failure="disk full"), record("h3", lost=True)]
    assert asked(*records, record("h4")) == {"h4": ["h1"]}


def test_one_that_somebody_reached_is_tried_again() -> None:
    reached = replace(record("h1", silent=True), missed=0)
    assert asked(reached, record("h2")) == {"h2": ["h1"]}


def test_a_probe_goes_to_the_address_that_answered_and_the_port_of_the_inventory() -> None:
    records = {"h1": record("h1", silent=True), "h2": record("h2")}
    targets = {"h1": ("web1.example", 2222), "h2": ("web2.example", 22)}
    assert second_opinions(records, NOBODY, targets) == {"h2": (Probe("h1", "10.0.0.1", 2222),)}
    records["h1"] = replace(records["h1"], address="")
    assert second_opinions(records, NOBODY, targets) == {"h2": (Probe("h1", "web1.example", 2222),)}


def test_only_those_that_are_visited_are_asked_or_tried() -> None:
    records = {"h1": record("h1", silent=True), "h2": record("h2"), "h3": record("h3", silent=True)}
    assert second_opinions(records, NOBODY, {"h1": ("a", 22)}) == {}
    assert second_opinions(records, NOBODY, {"h1": ("a", 22), "h2": ("b", 22)}) == {
        "h2": (Probe("h1", "10.0.0.1", 22),)
    }


RECORDS = st.lists(
    st.builds(
        record,
        st.integers(1, 30).map("h{}".format),
        silent=st.booleans(),
        failure=st.sampled_from(["", "", "", "disk full"]),
        lost=st.sampled_from([False, False, False, True]),
    ),
    unique_by=lambda one: one.host,
    max_size=30,
)


@given(RECORDS, st.frozensets(st.integers(1, 30).map("h{}".format), max_size=3))
def test_probes_are_spread_evenly_and_bounded(records: list[MachineRecord], fallen: frozenset[str]) -> None:
    made = asked(*records, fallen=fallen)
    assert made == asked(*reversed(records), fallen=fallen)
    by_host = {one.host: one for one in records}
    silent = {
        one.host for one in records if not one.lost and (one.silent_since is not None or one.host in fallen)
    }
    witnesses = [one.host for one in records if not one.failure and one.host not in silent]
    assert made.keys() <= set(witnesses)
    controls = [[host for host in hosts if host not in silent] for hosts in made.values()]
    assert all(len(control) == (len(witnesses) > 1) for control in controls)
    assert len(controls) == len({tuple(control) for control in controls})
    assert all(
        witness not in hosts and set(hosts) <= silent | set(witnesses) for witness, hosts in made.items()
    )
    made = {witness: [host for host in hosts if host in silent] for witness, hosts in made.items()}
    tried = Counter(host for hosts in made.values() for host in hosts)
    assert all(0 < len(hosts) == len(set(hosts)) <= MAX_PROBES for hosts in made.values())
    assert not any(by_host[host].lost for host in tried)
    if witnesses and len(silent) * WITNESSES <= len(witnesses) * MAX_PROBES:
        assert all(tried[host] == min(WITNESSES, len(witnesses)) for host in silent)
        load = [len(made.get(witness, ())) for witness in witnesses]
        assert max(load) - min(load) <= WITNESSES
    if witnesses and len(silent) <= len(witnesses) * MAX_PROBES:
        assert tried.keys() == silent
