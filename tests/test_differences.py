"""Every defect of fleet is decided in docs/fleet-differences.md, and what was decided is held by a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIFFERENCES = ROOT / "docs" / "fleet-differences.md"
DEFECTS = range(1, 33)
COLUMNS = 5

HELD_BY = {
    "A1": ("live/test_failing_units.py", "test_restart_gives_new_processes_everywhere"),
    "A2": (
        "live/test_scenarios_scheduling.py",
        "test_a_global_unit_is_everywhere_and_can_be_asked_and_restarted",
    ),
    "A3": ("control/test_commands.py", "test_an_inactive_unit_cannot_be_restarted"),
    "A4": ("live/test_failing_units.py", "test_a_slow_job_is_waited_for"),
    "A5": ("cli/test_account.py", "test_without_blocking_one_line_is_told_and_no_more"),
    "A6": ("live/test_verbs.py", "test_the_verbs_answer_as_fleet_did"),
    "A7": ("live/test_failing_units.py", "test_nobody_waits_who_does_not_want_to"),
    "A8": ("live/test_replace.py", "test_a_refused_replacement_names_the_command_and_changes_nothing"),
    "A9": ("cli/test_command_line.py", "test_an_unknown_or_ambiguous_verb_is_a_usage_error_with_advice"),
    "A10": ("cli/test_command_line.py", "test_a_boolean_flag_never_takes_the_next_word"),
    "A11": ("cli/test_command_line.py", "test_an_unknown_flag_is_a_usage_error_with_advice"),
    "A12": ("cli/test_account.py", "test_flags_of_a_verb_come_after_it"),
    "A13": (
        "control/test_unitfiles.py",
        "test_a_local_template_that_differs_from_a_stored_instance_is_warned_about",
    ),
    "A14": ("cli/test_account.py", "test_stopping_a_unit_without_a_machine_succeeds"),
    "A15": ("control/test_commands.py", "test_losing_for_ever_is_told"),
    "A16": ("cli/test_finding.py", "test_a_machine_that_was_taken_out_of_the_inventory_is_told"),
    "A17": (
        "core/test_placement.py",
        "test_a17_when_no_other_machine_can_take_the_replaced_unit_they_share_and_do_not_flap",
    ),
    "A18": ("core/test_placement.py", "test_f023_a18_two_units_that_replace_each_other_ignore_it"),
    "A19": ("core/test_placement_properties.py", "test_input_order_never_matters"),
    "A20": ("core/test_placement.py", "test_a20_an_assigned_unit_wins_over_a_global_one_whatever_the_names"),
    "A21": ("core/test_placement.py", "test_what_counts_as_load"),
    "A22": ("core/test_placement.py", "test_machine_id_means_the_full_or_the_short_id"),
    "A23": ("core/test_requirements.py", "test_a_malformed_metadata_pair_is_refused"),
    "A24": (
        "core/test_names.py",
        "test_mangle_takes_the_last_component_and_adds_service_unless_a_suffix_is_there",
    ),
    "A25": ("control/test_listing.py", "test_units_of_a_lost_machine_are_not_shown"),
    "A28": ("live/test_replace.py", "test_the_new_version_begins_when_the_old_one_is_wholly_over"),
    "A30": ("test_cli_reference.py", "test_the_page_in_docs_is_that_of_the_program"),
}
"""The tests that hold what was decided; more may do. Those about what there is not (yet) have none."""


def rows() -> dict[str, list[str]]:
    """A-number -> the cells after it, of the table of defects."""
    lines = DIFFERENCES.read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if re.match(r"\| A\d+ \|", line)
    ]
    return {row[0]: row[1:] for row in cells}


def names_in(path: Path) -> set[str]:
    """The names of the functions in a file of tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_defect_of_fleet_is_decided() -> None:
    decided = rows()
    assert list(decided) == [f"A{number}" for number in DEFECTS]
    for number, cells in decided.items():
        assert len(cells) == COLUMNS - 1, number
        assert cells[0] and cells[1], number


def test_what_was_decided_is_held_by_a_test() -> None:
    for number, (_, decision, *_) in rows().items():
        assert (number in HELD_BY) is not decision.startswith("not applicable"), number
    for number, (path, name) in HELD_BY.items():
        assert name in names_in(ROOT / "tests" / path), number
