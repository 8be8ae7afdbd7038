"""Machines and a controller that cannot write: told, nothing lost or stopped, and made good afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from fleetssh.core.sighting import Failure
from tests.live.conftest import Fleet
from tests.live.misuse import decisions, run_inside
from tests.live.outside import kinds, main_pid, pinned, traces

BIG = "# " + "x" * 1000 + "\n"


@pytest.fixture
def web(fleet: Fleet) -> Iterator[Fleet]:
    """web.service runs on m2; a single look decides. Whatever was mounted or filled is undone."""
    fleet.env |= {"FLEETSSH_LOST_AFTER_LOOKS": "1", "FLEETSSH_LOST_AFTER_SECONDS": "0"}
    fleet.unit("web.service", pinned("m2"))
    fleet.run("start", "web")
    yield fleet
    run_inside(
        fleet, "m2", "umount /run/fleet 2>/dev/null; rm -f /run/filler; chattr -i /run/fleet 2>/dev/null; :"
    )


def change(fleet: Fleet) -> None:
    """web is to be changed, and two more units are to come, one of them large."""
    fleet.unit("web.service", pinned("m2", "Environment=CHANGED=yes"))
    fleet.unit("small.service", pinned("m2"))
    fleet.unit("large.service", BIG * 900 + pinned("m2"))


def standing(fleet: Fleet) -> list[str]:
    """The traces on m2, but for the times of what a visit tries its luck with."""
    tried = ("/run/fleet ", "/run/fleet/lock ")
    return [line for line in traces(fleet)["m2"] if not line.startswith(tried)]


def check_untouched(fleet: Fleet, pid: int, before: list[str], kind: Failure) -> None:
    """Two passes and a start do nothing but say why."""
    for command in (["start", "--replace", "web", "small", "large"], ["reconcile"], ["reconcile"]):
        answer = fleet.run(*command, code=3)
        assert f"{kind}: " in answer.err
        assert "internal error" not in answer.err
        assert " launched on " not in answer.out
    assert main_pid(fleet.witness("m2"), "web.service") == pid
    assert kinds(fleet, "m2", "web.service") == ["start"]
    assert standing(fleet) == before


def check_made_good(fleet: Fleet) -> None:
    """With room again, the next pass does it all."""
    done = fleet.run("reconcile").out
    for line in ("write web.service", "start small.service", "start large.service"):
        assert f"m2: {line}" in done
    files = fleet.witness("m2").check_output("sha1sum /run/fleet/units/* | cut -d' ' -f1").split()
    sent = ["large.service", "small.service", "web.service"]
    ours = subprocess.run(["sha1sum", *sent], cwd=fleet.folder, capture_output=True, text=True, check=True)
    assert files == [line.split()[0] for line in ours.stdout.splitlines()]
    assert [fleet.running_on(name) for name in sent] == [["m2"]] * 3
    assert not fleet.witness("m2").file("/run/fleet/stage").exists
    assert fleet.run("reconcile").out == ""


FILL = "head -c 100M /dev/zero >>/run/filler 2>/dev/null; df --output=avail /run | tail -1"


def test_a_full_run_stops_nothing_and_is_made_good(web: Fleet) -> None:
    """Of everything under /run, systemd's part too."""
    run_inside(web, "m2", "mount -o remount,size=64M /run")
    pid, before = main_pid(web.witness("m2"), "web.service"), standing(web)
    change(web)
    assert run_inside(web, "m2", FILL).strip() == "0"
    check_untouched(web, pid, before, Failure.DISK_FULL)
    run_inside(web, "m2", "rm /run/filler; mount -o remount,size=50% /run")
    check_made_good(web)


@pytest.mark.parametrize("room", [4, 600], ids="{}k".format)
def test_a_run_that_gets_full_in_the_middle_stops_nothing_and_is_made_good(web: Fleet, room: int) -> None:
    """Room for the first of the files, or for the half of one."""
    pid, before = main_pid(web.witness("m2"), "web.service"), standing(web)
    change(web)
    run_inside(
        web,
        "m2",
        f"cp -a /run/fleet /root/kept; mount -t tmpfs -o size={room + 16}k,mode=755 none /run/fleet",
    )
    run_inside(web, "m2", "cp -a /root/kept/. /run/fleet/; rm -r /root/kept")
    inside = standing(web)
    check_untouched(web, pid, inside, Failure.DISK_FULL)
    run_inside(web, "m2", "umount /run/fleet")
    assert standing(web) == before
    check_made_good(web)


def test_no_inodes_left_is_a_full_disk_too(web: Fleet) -> None:
    pid = main_pid(web.witness("m2"), "web.service")
    change(web)
    run_inside(
        web, "m2", "cp -a /run/fleet /root/kept; mount -t tmpfs -o nr_inodes=11,mode=755 none /run/fleet"
    )
    run_inside(
        web, "m2", "cp -a /root/kept/. /run/fleet/; rm -r /root/kept; : >/run/fleet/a; : >/run/fleet/b"
    )
    run_inside(web, "m2", "touch /run/fleet/c /run/fleet/d 2>/dev/null; :")
    check_untouched(web, pid, standing(web), Failure.DISK_FULL)


def read_only(fleet: Fleet) -> None:
    run_inside(fleet, "m2", "mount --bind /run/fleet /run/fleet && mount -o remount,bind,ro /run/fleet")


def test_a_read_only_folder_stops_nothing_and_is_made_good(web: Fleet) -> None:
    pid = main_pid(web.witness("m2"), "web.service")
    change(web)
    read_only(web)
    check_untouched(web, pid, standing(web), Failure.READ_ONLY)
    answer = web.run("destroy", "web", code=3)
    assert f"Unit web.service could not be removed from {web.legend('m2')}" in answer.err
    assert main_pid(web.witness("m2"), "web.service") == pid
    run_inside(web, "m2", "umount /run/fleet")
    assert "m2: remove web.service" in web.run("reconcile").out


def test_a_machine_that_cannot_be_written_gets_nothing_new_and_others_get_theirs(web: Fleet) -> None:
    read_only(web)
    web.unit("here.service", pinned("m2"))
    web.unit("there.service", pinned("m3"))
    answer = web.run("start", "here", "there", code=3)
    assert f"Unit there.service launched on {web.legend('m3')}" in answer.out
    assert (
        f"Unit here.service is not on {web.legend('m2')} as it should be: {Failure.READ_ONLY}" in answer.err
    )


# ---------------------------------------------------------------- our own disk


@pytest.fixture
def small(web: Fleet) -> Iterator[Fleet]:
    """The state file lies on a small disk of its own."""
    folder = web.folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M,mode=755", "none", folder], check=True)
    try:
        for path in web.folder.glob("state.db*"):
            path.rename(folder / path.name) if path.parent == folder else (folder / path.name).write_bytes(
                path.read_bytes()
            )
        web.env["FLEETSSH_STATE"] = str(folder / "state.db")
        yield web
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(fleet: Fleet, leave: int) -> None:
    """Fills the state's disk but for ``leave`` bytes."""
    filler = fleet.folder / "disk" / "filler"
    filler.unlink(missing_ok=True)
    size = 0
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                size += file.write(b"x" * 4096)
            except OSError:
                break
        file.truncate(max(0, size - leave))


def test_a_disk_that_gets_full_anywhere_in_a_command_loses_nothing(small: Fleet) -> None:
    """The command either did it or says why not; what was decided and what runs are the same either way."""
    small.unit("new.service", BIG * 40 + pinned("m2"))
    outcomes = set()
    for leave in (0, 56, 70, 84, 98, 256):
        before = decisions(small)
        fill(small, leave * 1024)
        answer = small.run("start", "new", code=None)
        (small.folder / "disk" / "filler").unlink()
        outcomes.add(answer.code)
        assert "internal error" not in answer.err
        if answer.code:
            assert "state.db cannot be" in answer.err and "the disk is full" in answer.err
            assert "free some space" in answer.err
        elif not answer.out:
            assert decisions(small) == before
        small.run("reconcile", code=None)
        wanted = "new.service" in small.files()
        assert (small.running_on("new.service") == ["m2"]) is wanted
        assert wanted or answer.code
        small.run("destroy", "new", code=None)
    assert outcomes == {0, 1}
    assert kinds(small, "m2", "web.service") == ["start"]
    assert list(small.files()) == ["web.service"]
