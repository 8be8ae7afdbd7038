"""The shape of a command line: verbs, flags, environment; nothing here visits a machine."""

import shlex
import subprocess
import sys

import click
import pytest

from fleetssh import __version__
from fleetssh.cli.examples import EXAMPLES
from fleetssh.cli.flags import GONE, Flag, spell_flags
from fleetssh.cli.main import ENTRIES, SECTIONS, program
from fleetssh.cli.session import Session, Settings
from fleetssh.cli.state import state

GROUPS = ("lab", "state")
"""Commands with commands of their own."""

OPTIONS = [
    Flag(["-f", "--f", "--follow", "follow"]),
    Flag(["-A", "--forward-agent"]),
    click.Option(["-n", "--lines"], type=int),
]


@pytest.mark.parametrize(
    ("words", "spelled"),
    [
        ("-f unit", "--follow=true unit"),
        ("--f unit", "--follow=true unit"),
        ("unit --follow", "unit --follow=true"),
        ("--follow=false unit", "--follow=false unit"),
        ("-f=false unit", "--follow=false unit"),
        ("-Af", "--forward-agent=true --follow=true"),
        ("-fn 5 unit", "--follow=true -n 5 unit"),
        ("-fn5", "--follow=true -n5"),
        ("-n -f unit", "-n -f unit"),
        ("--lines -f", "--lines -f"),
        ("unit -- -f", "unit -- -f"),
        ("-x -f", "-x --follow=true"),
        ("- -f", "- --follow=true"),
    ],
)
def test_a_boolean_flag_never_takes_the_next_word(words, spelled):
    assert spell_flags(OPTIONS, words.split(), mixed=True) == spelled.split()


def test_before_the_verb_nothing_after_it_is_touched():
    assert spell_flags(OPTIONS, ["-f", "journal", "-f"], mixed=False) == ["--follow=true", "journal", "-f"]


# ---------------------------------------------------------------- verbs


@pytest.mark.parametrize("argv", ["version", "vers", "--version", "-v", "version --debug=false"])
def test_version_by_any_name(fleetssh, argv):
    ran = fleetssh(*argv.split())
    assert (ran.code, ran.out, ran.err) == (0, f"fleetssh version {__version__}\n", "")


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("list-unit", "did you mean list-units or list-unit-files?"),
        ("st", "did you mean start or stop or status or state?"),
        ("jurnal", "did you mean journal?"),
        ("nosuchcommand", "'fleetssh help' lists the commands"),
        ("fd-forward", "there is no fleet daemon to talk to: machines are reached over SSH directly"),
    ],
)
def test_an_unknown_or_ambiguous_verb_is_a_usage_error_with_advice(fleetssh, word, advice):
    ran = fleetssh(word)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f'unknown command "{word}" for "fleetssh"\n  {advice}\n'


def test_an_exact_name_wins_over_longer_ones(fleetssh):
    assert "list-units" in fleetssh("help", "list-units").out.splitlines()[0]


def test_no_arguments_and_help_show_every_verb(fleetssh):
    shown = [fleetssh(*argv) for argv in ((), ("--help",), ("-h",), ("--h",), ("help",))]
    assert {ran.code for ran in shown} == {0}
    assert len({ran.out for ran in shown}) == 1
    listed = {line.split()[0] for line in shown[0].out.splitlines() if line.startswith("  ")}
    assert set(ENTRIES) <= listed


@pytest.mark.parametrize("verb", [verb for verb in ENTRIES if verb not in GROUPS])
def test_every_verb_explains_itself_and_the_global_flags(fleetssh, verb):
    ran = fleetssh(verb, "--help")
    assert ran.code == 0
    assert ran.out == fleetssh("help", verb).out
    assert ran.out.startswith(f"Usage: fleetssh {verb} ")
    assert "Global options:" in ran.out and "--accept-new-host-keys" in ran.out


def test_help_finds_commands_of_commands(fleetssh):
    assert fleetssh("help", "lab", "kill").out == fleetssh("lab", "kill", "--help").out


@pytest.mark.parametrize("words", ["nosuchcommand", "lab nosuchcommand", "start nosuchcommand"])
def test_help_for_what_is_no_command_is_a_usage_error(fleetssh, words):
    ran = fleetssh("help", *words.split())
    assert (ran.code, ran.out) == (2, "")
    assert "nosuchcommand" in ran.err and "\n  " in ran.err


@pytest.mark.parametrize(
    "line", [line for examples in EXAMPLES.values() for line, _ in examples if not line.startswith("*")]
)
def test_the_examples_of_the_help_can_be_typed(line):
    _, _, said = line.strip(')"').partition("fleetssh ")
    ctx = click.Context(program, obj=Session({}))
    _, command, words = program.resolve_command(ctx, shlex.split(said))
    while isinstance(command, click.Group):
        _, command, words = command.resolve_command(ctx, words)
    assert command is not None
    command.make_context(command.name, words, parent=ctx).close()


def test_only_commands_have_examples():
    assert set(EXAMPLES) <= {"fleetssh", *ENTRIES, *(f"state {name}" for name in state.commands)}
    assert set(EXAMPLES) >= {f"state {name}" for name in state.commands}


def test_examples_of_a_command_of_a_command_are_in_its_help(fleetssh):
    ran = fleetssh("state", "rebuild", "--help")
    assert "fleetssh state rebuild --dry-run" in ran.out
    assert "Global options:" in ran.out


def test_a_verb_stands_in_one_section_only():
    assert len(ENTRIES) == sum(map(len, SECTIONS.values()))


@pytest.mark.parametrize(
    "verb", ["submit", "load", "start", "restart", "stop", "unload", "destroy", "verify"]
)
def test_no_units_given_is_no_mistake(fleetssh, verb):
    ran = fleetssh(verb)
    assert (ran.code, ran.out, ran.err) == (0, "", "No units given\n")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ("status", 0, ""),
        ("cat", 1, "One unit file must be provided\n"),
        ("cat a b", 1, "One unit file must be provided\n"),
        ("journal", 1, "One unit file must be provided.\n"),
    ],
)
def test_verbs_for_one_unit(fleetssh, argv, code, message):
    ran = fleetssh(*argv.split())
    assert (ran.code, ran.out, ran.err) == (code, "", message)


# ---------------------------------------------------------------- flags


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("list-units --ful", "unknown flag: --ful\n  did you mean --full?"),
        ("--inventry x list-units", "unknown flag: --inventry\n  did you mean --inventory?"),
        ("start -q", "unknown flag: -q\n  'fleetssh start --help' shows the flags there are"),
        ("ssh m1 ls -l",
         "unknown flag: -l\n  flags of the remote command come after '--': fleetssh ssh MACHINE -- ls -l"),
        ("start --sign x", "--sign: fleet dropped signed units, and so there are none here"),
    ],
)  # fmt: skip
def test_an_unknown_flag_is_a_usage_error_with_advice(fleetssh, argv, message):
    ran = fleetssh(*argv.split())
    assert (ran.code, ran.out, ran.err) == (2, "", f"{message}\n")


@pytest.mark.parametrize("flag", GONE)
def test_flags_that_only_fleetctl_has_say_what_replaces_them(fleetssh, flag):
    for argv in ((flag, "x", "list-units"), ("list-units", f"{flag}=x")):
        ran = fleetssh(*argv)
        assert (ran.code, ran.err) == (2, f"unknown flag: {flag}\n  {GONE[flag]}\n")


@pytest.mark.parametrize(
    "argv",
    ["--strict-host-key-checking=false list-unit-files", "list-unit-files --strict-host-key-checking=false"],
)
def test_host_keys_are_never_silently_off(fleetssh, argv):
    ran = fleetssh(*argv.split())
    assert ran.code == 2
    assert "--accept-new-host-keys" in ran.err
    assert fleetssh(*argv.replace("false", "true").split()).code == 0


@pytest.mark.parametrize(
    "argv", ["list-unit-files --forks 0", "list-unit-files --debug=perhaps", "list-unit-files x", "why"]
)
def test_what_cannot_be_meant_is_a_usage_error(fleetssh, argv):
    ran = fleetssh(*argv.split())
    assert (ran.code, ran.out) == (2, "")
    assert "--help' shows the usage" in ran.err


# ---------------------------------------------------------------- where a setting comes from


@pytest.fixture
def settings(fleetssh, monkeypatch):
    """The settings that a command line leads to."""
    seen: list[Settings] = []
    begin = Session.begin
    monkeypatch.setattr(
        Session, "begin", lambda self, verb: (seen.append(self.settings), begin(self, verb))[1]
    )

    def read(*argv: str) -> Settings:
        ran = fleetssh(*argv)
        assert ran.code == 0, ran.err
        return seen[-1]

    return read


@pytest.mark.parametrize(
    "argv",
    ["--forks 7 --debug list-unit-files", "list-unit-files --debug --forks=7",
     "--forks 3 list-unit-files --forks 7 --debug", "--debug=true list-unit-files --forks 7"],
)  # fmt: skip
def test_global_flags_stand_before_or_after_the_verb_and_the_last_wins(settings, argv):
    assert (settings(*argv.split()).forks, settings(*argv.split()).debug) == (7, True)


def test_environment_twins_and_who_wins(settings, monkeypatch):
    assert settings("list-unit-files").connect_timeout is None
    monkeypatch.setenv("FLEETCTL_SSH_TIMEOUT", "9")
    assert settings("list-unit-files").connect_timeout == 9.0
    monkeypatch.setenv("FLEETSSH_CONNECT_TIMEOUT", "")
    assert settings("list-unit-files").connect_timeout == 9.0
    monkeypatch.setenv("FLEETSSH_CONNECT_TIMEOUT", "3")
    assert settings("list-unit-files").connect_timeout == 3.0
    assert settings("--connect-timeout=2", "list-unit-files").connect_timeout == 2.0
    assert settings("list-unit-files", "--ssh-timeout", "1").connect_timeout == 1.0


def test_every_global_flag_has_both_twins(settings, monkeypatch):
    values = {
        "INVENTORY": "i",
        "CLUSTER": "c",
        "FORKS": "2",
        "LOST_AFTER_LOOKS": "4",
        "LOST_AFTER_SECONDS": "5",
        "SSH_USERNAME": "u",
        "KNOWN_HOSTS_FILE": "k",
        "ACCEPT_NEW_HOST_KEYS": "true",
    }
    for tool in ("FLEETSSH", "FLEETCTL"):
        for name, value in values.items():
            monkeypatch.setenv(f"{tool}_{name}", value)
        got = settings("list-unit-files")
        assert (got.inventory, got.cluster, got.forks) == ("i", "c", 2)
        assert (got.lost_after_looks, got.lost_after_seconds) == (4, 5.0)
        assert (got.ssh_username, got.known_hosts_file, got.accept_new_host_keys) == ("u", "k", True)
        for name in values:
            monkeypatch.delenv(f"{tool}_{name}")


def test_a_missing_inventory_says_what_to_type_and_changes_nothing(fleetssh, hello):
    ran = fleetssh("start", "hello")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("no inventory: which machines are there?\n  name one with --inventory PATH")
    assert fleetssh("cat", "hello").code == 1


# ---------------------------------------------------------------- what a verb costs

HEAVY = ("fabric", "invoke", "paramiko", "yaml", "rich", "tenacity")


@pytest.mark.parametrize("argv", ["--help", "help cat", "version", "list-unit-files", "cat x", "verify x"])
def test_verbs_that_reach_no_machine_import_nothing_heavy(tmp_path, argv):
    program = (
        "import sys; from fleetssh.cli.main import main; main(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "--state", str(tmp_path / "s.db"), *argv.split()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_defect_is_one_line_and_a_traceback_only_for_debug(fleetssh, monkeypatch):
    def burst(self):
        raise RuntimeError("burst")

    monkeypatch.setattr(Session, "store", property(burst))
    ran = fleetssh("list-unit-files")
    assert ran.code == 1
    assert ran.err.splitlines()[0] == "fleetssh: internal error: RuntimeError: burst"
    assert "Traceback" not in ran.err
    assert "Traceback" in fleetssh("list-unit-files", "--debug").err


def test_a_reader_that_goes_away_is_no_error_message(tmp_path):
    script = f"{sys.executable} -m fleetssh --help | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
