"""Verbs over the stored units, on a real state file and without any machine."""

import hashlib
import subprocess
import sys

import pytest

CREATING = "Error creating units: "


def test_submit_cat_list_destroy(fleetssh, hello):
    ran = fleetssh("submit", "hello.service")
    assert (ran.code, ran.out, ran.err) == (0, "Unit hello.service inactive\n", "")
    assert fleetssh("list-unit-files").out == (
        "UNIT\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\nhello.service\te55c0ae\tinactive\tinactive\t-\n"
    )
    assert fleetssh("cat", "hello").out.encode() == hello
    ran = fleetssh("destroy", "hello")
    assert (ran.code, ran.out, ran.err) == (0, "Destroyed hello.service\n", "")
    assert fleetssh("list-unit-files").out == "UNIT\tHASH\tDSTATE\tSTATE\tTARGET\n"


def test_cat_prints_the_exact_bytes(tmp_path, fleetssh):
    text = "# \x1b\n[Service]\r\nExecStart=/bin/true grün \\\n  x".encode()
    (tmp_path / "odd.service").write_bytes(text)
    assert fleetssh("submit", "odd").code == 0
    ran = subprocess.run([sys.executable, "-m", "fleetssh", "cat", "odd"], capture_output=True, check=True)
    assert ran.stdout == text


def test_submitting_again_is_silent_and_a_changed_file_a_warning(fleetssh, hello, tmp_path):
    fleetssh("submit", "hello")
    again = fleetssh("submit", "hello")
    assert (again.code, again.out, again.err) == (0, "", "")
    (tmp_path / "hello.service").write_bytes(hello.replace(b"Hello, world", b"Bonjour"))
    ran = fleetssh("submit", "hello.service")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == (
        "WARNING: Unit hello.service in registry differs from local unit file hello.service. "
        "Add --replace to override.\n"
    )
    changed = "Unit hello.service changed: takes effect when it is started\n"
    assert fleetssh("submit", "--replace", "hello").out == changed
    assert (
        fleetssh("submit", "--replace", "hello").out
        == "Found same Unit(hello.service) in Registry, nothing to do\n"
    )
    assert b"Bonjour" in fleetssh("cat", "hello").out.encode()


def test_new_units_are_told_in_the_order_given(fleetssh, hello, tmp_path):
    (tmp_path / "a@.service").write_bytes(hello)
    ran = fleetssh("submit", "hello", "a@2", "a@1.service", "hello.service")
    assert ran.out == "Unit hello.service inactive\nUnit a@2.service inactive\nUnit a@1.service inactive\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("start absent", "no inventory: which machines are there?"),
        ("submit absent", CREATING + "unable to find Unit(absent.service) in Registry or on filesystem"),
        ("submit foo.conf", CREATING + "unable to find Unit(foo.conf.service) in Registry or on filesystem"),
        ("submit weird!.service", CREATING + "invalid character '!' in unit name"),
        ("cat absent", "Unit absent.service not found"),
        ("status absent", "Unit absent.service does not exist."),
        ("journal absent", "Unit absent.service does not exist."),
        ("why absent", "Unit absent.service does not exist."),
        ("stop absent", "Units not found in registry: absent.service; nothing was changed"),
        ("unload absent x", "Units not found in registry: absent.service x.service; nothing was changed"),
        ("destroy absent", "Units not found in registry: absent.service; nothing was changed"),
        ("restart absent", "Units not found in registry: absent.service; nothing was changed"),
        ("list-units --fields foo", 'Invalid key in output format: "foo"'),
        ("list-machines --fields=", "Must define output format"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_in_fleets_words(fleetssh, argv, message):
    ran = fleetssh(*argv.split())
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[0] == message


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("stop hello", "Unable to stop unit hello.service in state inactive"),
        ("restart hello", "Unable to restart unit hello.service in state inactive"),
        ("status hello", "Unit hello.service does not appear to be loaded."),
        ("journal hello", "Unit hello.service does not appear to be running."),
    ],
)
def test_a_unit_that_is_only_submitted(fleetssh, hello, argv, message):
    fleetssh("submit", "hello")
    ran = fleetssh(*argv.split())
    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (1, "", message)


def test_unloading_what_is_not_loaded_says_so_as_fleet_does(fleetssh, hello):
    fleetssh("submit", "hello")
    ran = fleetssh("unload", "hello")
    assert (ran.code, ran.out, ran.err) == (0, "", "Successfully unloaded units [].\n")


def test_destroy_takes_globs_and_one_bad_name_changes_nothing(fleetssh, hello, tmp_path):
    (tmp_path / "a@.service").write_bytes(hello)
    fleetssh("submit", "a@1", "a@2", "hello")
    assert fleetssh("destroy", "a@*", "nope").code == 1
    ran = fleetssh("destroy", "a@*")
    assert (ran.code, ran.out) == (0, "Destroyed a@1.service\nDestroyed a@2.service\n")
    assert fleetssh("list-unit-files", "--no-legend", "--fields", "unit").out == "hello.service\n"


def test_all_columns_of_list_unit_files(fleetssh, tmp_path):
    text = b"[Unit]\nDescription=Everywhere\n[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\n"
    (tmp_path / "mon.service").write_bytes(text)
    fleetssh("submit", "mon")
    ran = fleetssh(
        "list-unit-files", "--no-legend", "-l", "--fields", "unit,hash,dstate,state,target,global,desc"
    )
    normal = b"[Unit]\nDescription=Everywhere\n\n[Service]\nExecStart=/bin/true\n\n[X-Fleet]\nGlobal=true\n"
    cells = [cell for cell in ran.out.rstrip("\n").split("\t") if cell]
    assert cells == [
        "mon.service", hashlib.sha1(normal).hexdigest(), "inactive", "-", "global", "true", "Everywhere"
    ]  # fmt: skip


def test_the_old_name_of_the_target_column(fleetssh):
    ran = fleetssh("list-unit-files", "--fields", "tmachine,unit")
    assert (ran.code, ran.out) == (0, "TMACHINE\tUNIT\n")
    assert ran.err == 'WARNING: The "tmachine" field is deprecated. Use "target" instead\n'


def test_two_clusters_do_not_see_each_other(fleetssh, hello, monkeypatch, tmp_path):
    monkeypatch.delenv("FLEETSSH_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    fleetssh("submit", "--cluster", "one", "hello")
    assert fleetssh("cat", "hello", "--cluster=one").code == 0
    assert fleetssh("cat", "hello", "--cluster=two").code == 1
    assert fleetssh("cat", "hello", "--cluster=../x").code == 2


def test_verify_tells_file_and_line_and_goes_on(fleetssh, hello, tmp_path):
    (tmp_path / "bad.service").write_bytes(b"[Service]\nExecStart=/bin/true\nnonsense\n")
    ran = fleetssh("verify", "bad.service", "hello", "absent")
    assert (ran.code, ran.out) == (1, "hello.service: ok\n")
    assert ran.err.splitlines()[0].startswith("bad.service:3: ")
    assert ran.err.splitlines()[-1] == "absent.service: No such file or directory"
    assert fleetssh("verify", "hello").code == 0


def test_what_a_unit_says_cannot_steer_a_terminal(fleetssh, tmp_path):
    (tmp_path / "x.service").write_bytes(b"[Unit]\nDescription=a\x1b[2Jb\n[Service]\nExecStart=/bin/true\n")
    fleetssh("submit", "x")
    assert fleetssh("list-unit-files", "--no-legend", "--fields", "desc").out == "a\ufffd[2Jb\n"
