import pytest

from tests.inventory.conftest import Load


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("eu-west", "eu-west"),
        ("'007'", "007"),
        ("007", "007"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("1.50", "1.50"),
        ("0x1F", "0x1F"),
        ("1e3", "1e3"),
        ("yes", "yes"),
        ("True", "True"),
        ("'a,b=c'", "a,b=c"),
        ("''", ""),
        ("München", "München"),
        ("'null'", "null"),
    ],
)
def test_values_are_the_text_of_the_file(load: Load, written: str, text: str) -> None:
    inventory = load(f"all:\n  hosts:\n    m1: {{fleet_metadata: {{key: {written}}}}}\n")
    assert inventory.hosts[0].metadata == {"key": text}


@pytest.mark.parametrize("key", ["rack", "1", "on", "1.5", "fleet", "fleetx", "fleet_x", "a b"])
def test_keys_are_the_text_of_the_file(load: Load, key: str) -> None:
    inventory = load(f"all:\n  hosts:\n    m1: {{fleet_metadata: {{{key}: x}}}}\n")
    assert inventory.hosts[0].metadata == {key: "x"}


def test_metadata_set_to_nothing_adds_nothing(load: Load) -> None:
    inventory = load("all:\n  vars: {fleet_metadata: {a: x}}\n  hosts:\n    m1: {fleet_metadata: }\n")
    assert inventory.hosts[0].metadata == {"a": "x"}
