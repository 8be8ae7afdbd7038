"""What scripts get from real machines, and what the history says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.live.conftest import Fleet
from tests.live.outside import service


def told(fleet: Fleet, *argv: str, code: int = 0) -> Any:
    """The JSON that a verb prints, with nothing beside it on standard output."""
    return json.loads(fleet.run(*argv, "-o", "json", code=code).out)


def history(fleet: Fleet, *argv: str) -> list[tuple[str, str | None, str]]:
    """Kind, subject and text of every event, the oldest first."""
    rows = told(fleet, "events", "-n", "1000", *argv)
    return [(row["kind"], row["subject"], row["text"]) for row in rows]


@pytest.fixture
def web(fleet: Fleet) -> Fleet:
    """A unit somewhere, one everywhere, one nowhere; nobody is given up."""
    fleet.env["FLEETSSH_LOST_AFTER_SECONDS"] = "3600"
    fleet.unit("web.service", service())
    fleet.unit("agent.service", service(fleet=["Global=true"]))
    fleet.unit("picky.service", service(fleet=["MachineMetadata=region=moon"]))
    fleet.run("start", "web", "agent", "picky", code=3)
    return fleet


def test_every_listing_verb_says_the_same_to_scripts_as_to_people(web: Fleet) -> None:
    ids = web.machine_ids()
    hosts = {m.name: (m.machine_id, m.address) for m in web.lab.machines()}
    (home,) = web.running_on("web.service")

    listed = told(web, "list-machines")
    assert {row["host"]: (row["machine"], row["ip"]) for row in listed} == hosts
    assert {(row["health"], row["age_seconds"], row["problem"]) for row in listed} == {("up", 0, None)}
    assert all(row["metadata"]["region"] and row["facts"]["systemd"] for row in listed)
    assert all(row["facts"]["cpus"] > 0 and row["facts"]["memory"] >= 0 for row in listed)

    units = told(web, "list-units")
    assert [(row["unit"], row["machine"]) for row in units] == [
        *(("agent.service", machine) for machine in sorted(ids.values())),
        ("web.service", ids[home]),
    ]
    assert {(row["active"], row["sub"], row["last_active"], row["health"]) for row in units} == {
        ("active", "running", "active", "up")
    }
    assert yaml.safe_load(web.run("list-units", "-o", "yaml").out) == units
    table = web.run("list-units", "--full", "--no-legend", "--fields", "unit,hash,host,health,age").rows
    assert table == [[row["unit"], row["hash"], row["host"], "up", "0s"] for row in units]

    stored = {row["unit"]: row for row in told(web, "list-unit-files")}
    assert {
        (name, row["state"], row["target"], row["global"], row["host"]) for name, row in stored.items()
    } == {
        ("web.service", "launched", ids[home], False, home),
        ("agent.service", None, None, True, None),
        ("picky.service", "inactive", None, False, None),
    }
    assert {row["hash"] for row in units} == {
        row["hash"] for n, row in stored.items() if n != "picky.service"
    }

    planned = told(web, "plan", code=3)
    assert (planned["pending"], planned["steps"], planned["moves"]) == (False, [], [])
    (unplaced,) = planned["unplaced"]
    assert unplaced["unit"] == "picky.service"
    assert {line["machine"]: line["host"] for line in unplaced["machines"]} == {i: h for h, i in ids.items()}

    why = told(web, "why", "web")
    assert (why["machine"], why["unreached"]) == (ids[home], [])
    assert [line["host"] for line in why["machines"] if line["here"]] == [home]


def test_a_plan_for_scripts_is_what_reconcile_then_does(web: Fleet) -> None:
    (home,) = web.running_on("web.service")
    web.witness(home).check_output("systemctl stop web")
    before = history(web)
    (step,) = told(web, "plan", "--exit-code", code=5)["steps"]
    assert (step["machine"], step["host"], step["action"], step["unit"], step["wave"]) == (
        web.machine_ids()[home], home, "start", "web.service", 1
    )  # fmt: skip
    assert history(web) == before
    web.run("reconcile", code=3)
    (*_, told_step, told_pass) = history(web)
    assert told_step == ("step", "web.service", f"{home}: start ({step['reason']})")
    assert told_pass[0] == "pass"


def test_the_history_of_a_start(web: Fleet) -> None:
    (home,) = web.running_on("web.service")
    machine = web.machine_ids()[home]
    rows = history(web)
    typed = "start web agent picky: new, launched"
    assert rows[:3] == [("command", f"{name}.service", typed) for name in ("agent", "picky", "web")]
    assert {row for row in rows if row[0] == "health"} == {
        ("health", host, "new -> up: seen for the first time") for host in web.machine_ids()
    }
    about_web = history(web, "--unit", "web", "--machine", home)
    assert [row[0] for row in about_web] == ["move", "step"]
    assert about_web[0][2].startswith(f"nowhere -> {machine}: ")
    assert about_web[1][2].startswith(f"{home}: write, start (")
    assert rows[-1][2].startswith("machines: 3, moves: 1, steps: 8, unplaced: 1 (picky.service), took ")
    for _ in range(2):
        web.run("reconcile", code=3)
    quiet = history(web)
    assert quiet[: len(rows)] == rows
    assert [row[2].partition(", took")[0] for row in quiet[len(rows) :]] == [
        "machines: 3, unplaced: 1 (picky.service)"
    ]


def test_a_machine_in_doubt_is_shown_with_the_age_of_what_is_known(web: Fleet) -> None:
    web.run("destroy", "picky")
    (home,) = web.running_on("web.service")
    machine = web.machine_ids()[home]
    before = history(web)
    web.lab.run_inside(home, ["systemctl", "stop", "ssh"])
    for _ in range(2):
        web.run("reconcile", code=4)

    rows = [row for row in told(web, "list-units") if row["host"] == home]
    assert [(row["unit"], row["active"], row["last_active"], row["health"], row["hash"]) for row in rows] == [
        (unit, "unknown", "active", "doubtful", None) for unit in ("agent.service", "web.service")
    ]
    assert all(row["age_seconds"] > 0 for row in rows)
    (shown,) = [
        line
        for line in web.run("list-units", "--no-legend", "--fields", "unit,machine,active,health,age").rows
        if line[0] == "web.service"
    ]
    assert shown[:4] == ["web.service", web.legend(home), "unknown", "doubtful"]
    assert shown[4].endswith("s")
    (doubted,) = [row for row in told(web, "list-machines") if row["health"] != "up"]
    assert (doubted["machine"], doubted["health"]) == (machine, "doubtful")
    assert doubted["problem"].startswith("connection refused")
    (silent,) = told(web, "plan", code=4)["unreached"]
    assert (silent["machine"], silent["health"], silent["problem"]) == (
        machine,
        "doubtful",
        doubted["problem"],
    )

    web.lab.run_inside(home, ["systemctl", "start", "ssh"])
    for _ in range(2):
        web.run("reconcile")
    news = history(web)[len(before) :]
    assert [row for row in news if row[0] != "pass"] == [
        ("health", home, f"up -> doubtful: {doubted['problem']}"),
        ("health", home, "doubtful -> up: it answers again"),
    ]
    assert sum(row[0] == "pass" for row in news) == 2
