"""Who wins: the expected values were compared with `ansible-inventory --list` of ansible-core 2.19."""

import itertools

import pytest

from tests.inventory.conftest import Load

# Weakest first; every place sets the user and one metadata key for itself and one for all.
PLACES = (
    ("hosts.yml", "all"),
    ("hosts.yml", "eu"),
    ("hosts.yml", "web"),
    ("group_vars/all.yml", ""),
    ("group_vars/eu.yml", ""),
    ("group_vars/web.yml", ""),
    ("hosts.yml", "m1"),
    ("host_vars/m1.yml", ""),
)


def variables(place: int) -> str:
    return f"{{ansible_user: u{place}, fleet_metadata: {{own{place}: x, common: v{place}}}}}"


def files_setting(places: tuple[int, ...]) -> dict[str, str]:
    inline = {name: variables(index) if index in places else "" for index, (_, name) in enumerate(PLACES)}
    tree = (
        f"all:\n  vars: {inline['all']}\n  children:\n    eu:\n      vars: {inline['eu']}\n      children:\n"
        f"        web:\n          vars: {inline['web']}\n          hosts:\n            m1: {inline['m1']}\n"
    )
    beside = {
        file: variables(index) for index, (file, name) in enumerate(PLACES) if not name and index in places
    }
    return {"hosts.yml": tree, **beside}


@pytest.mark.parametrize("places", list(itertools.combinations(range(len(PLACES)), 2)))
def test_of_two_places_the_stronger_wins_and_metadata_is_merged(load: Load, places: tuple[int, int]) -> None:
    host = load(files_setting(places)).hosts[0]
    assert host.user == f"u{places[1]}"
    assert host.metadata == {f"own{places[0]}": "x", f"own{places[1]}": "x", "common": f"v{places[1]}"}


def test_all_places_together_merge_their_metadata(load: Load) -> None:
    host = load(files_setting(tuple(range(len(PLACES))))).hosts[0]
    assert host.metadata == {"common": "v7"} | {f"own{place}": "x" for place in range(len(PLACES))}
    assert list(host.metadata) == sorted(host.metadata)


def test_of_groups_of_one_depth_the_last_by_name_wins(load: Load) -> None:
    inventory = load("""\
        zoo: {hosts: {m1: }, vars: {ansible_user: zoo}}
        ant: {hosts: {m1: }, vars: {ansible_user: ant}}
        """)
    assert inventory.hosts[0].user == "zoo"


@pytest.mark.parametrize(("priority", "winner"), [("2", "ant"), ("'10'", "ant"), ("1", "zoo"), ("-1", "zoo")])
def test_priority_beats_the_name(load: Load, priority: str, winner: str) -> None:
    inventory = load(f"""\
        zoo: {{hosts: {{m1: }}, vars: {{ansible_user: zoo}}}}
        ant: {{hosts: {{m1: }}, vars: {{ansible_user: ant, ansible_group_priority: {priority}}}}}
        """)
    assert inventory.hosts[0].user == winner


def test_priority_does_not_beat_depth(load: Load) -> None:
    inventory = load("""\
        parent: {children: {child: }, vars: {ansible_user: parent, ansible_group_priority: 99}}
        child: {hosts: {m1: }, vars: {ansible_user: child}}
        """)
    assert inventory.hosts[0].user == "child"


def test_priority_in_group_vars_has_no_effect_as_in_ansible(load: Load) -> None:
    inventory = load(
        {
            "hosts.yml": "zoo: {hosts: {m1: }}\nant: {hosts: {m1: }}\n",
            "group_vars/zoo.yml": "ansible_user: zoo\n",
            "group_vars/ant.yml": "ansible_user: ant\nansible_group_priority: 99\n",
        }
    )
    assert inventory.hosts[0].user == "zoo"


def test_the_longest_way_to_all_is_the_depth_of_a_group(load: Load) -> None:
    # `deep` is a child of `all` too, but its way through `b` and `z` counts.
    inventory = load("""\
        all: {children: {deep: , b: }}
        b: {children: {z: }}
        z: {children: {deep: }, vars: {ansible_user: z}}
        deep: {hosts: {m1: }, vars: {ansible_user: deep}}
        """)
    assert inventory.hosts[0].user == "deep"


def test_group_vars_of_ungrouped_reach_hosts_without_a_group(load: Load) -> None:
    inventory = load(
        {
            "hosts.yml": "all: {hosts: {m1: , m2: }}\nungrouped: {hosts: {m2: }}\nweb: {hosts: {m2: }}\n",
            "group_vars/ungrouped.yml": "ansible_user: lonely\n",
        }
    )
    assert [(host.user, host.groups) for host in inventory.hosts] == [
        ("lonely", ("ungrouped",)),
        (None, ("web",)),
    ]


def test_the_later_of_two_mentions_of_a_host_wins(load: Load) -> None:
    inventory = load("""\
        web: {hosts: {m1: {ansible_user: web, fleet_metadata: {a: web, b: web}}}}
        db: {hosts: {m1: {ansible_user: db, fleet_metadata: {a: db}}}}
        """)
    assert inventory.hosts[0].user == "db"
    assert inventory.hosts[0].metadata == {"a": "db", "b": "web"}


def test_a_port_in_the_name_counts_only_where_the_host_is_new_as_in_ansible(load: Load) -> None:
    inventory = load("web: {hosts: {m1: }}\ndb: {hosts: {m1:2222: }}\n")
    assert inventory.hosts[0].port == 22
