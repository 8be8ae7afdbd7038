"""The plain commands that a verb runs on one machine for a person: status, journal, a shell."""

from __future__ import annotations

from collections.abc import Sequence

from fleetssh.wire.quoting import quote, shell_command, words

GUARD = (
    "exec 3<&0; helpers=; {} & reader=$!; {}"
    '{{ cat <&3; kill $reader $helpers; }} >/dev/null 2>&1 & helpers="$helpers $!"; '
    "wait $reader; status=$?; kill $helpers 2>/dev/null; exit $status"
)
"""The watcher reads standard input by another name, as shells give their background an empty one. It ends
everything by itself, as sshd ends the shell when the connection breaks off."""

BEAT_SECONDS = 2
BEAT = b"\0"
BEATING = (
    "{ trap 'kill $! 2>/dev/null; exit' TERM; "
    f"while printf '\\0' >&2; do sleep {BEAT_SECONDS} 2>/dev/null & wait; done; }} >/dev/null 3<&- & "
    "helpers=$!; "
)
"""What sleeps holds none of our streams: it would keep the session open after the command's end."""


def guarded(command: str, *, beating: bool = False) -> str:
    """``command`` so that it ends when our end of standard input closes: nothing is left running there.

    It ends also when ``command`` does, with its exit code. ``beating`` adds a ``BEAT`` on standard error at
    once and every ``BEAT_SECONDS``, so that a machine that is gone differs from one with nothing to say.
    """
    return GUARD.format(command, BEATING if beating else "")


def status_command(name: str, *, sudo: bool) -> str:
    """fleet's ``systemctl status -l NAME``, without a pager."""
    return as_root(f"SYSTEMD_COLORS=0 systemctl --no-pager -l -- status {quote(name)}", sudo)


def journal_command(
    name: str,
    *,
    lines: int | None,
    follow: bool,
    output: str,
    sudo: bool,
    since: str = "",
    until: str = "",
    grep: str = "",
) -> str:
    """fleet's ``journalctl --unit NAME --no-pager -n LINES --output MODE [-f]``; ``None`` for all lines.

    A followed journal ends when our end of standard input closes, and when journalctl does: it refuses an
    output mode that it does not know.
    """
    options = ["--unit", name, "--no-pager"]
    options += [] if lines is None else ["-n", str(lines)]
    options += ["--output", output]
    options += selection(since, until, grep)
    if not follow:
        return as_root(f"journalctl {words(options)}", sudo)
    return as_root(guarded(f"journalctl {words(options)} -f"), sudo)


def selection(since: str, until: str, grep: str) -> list[str]:
    """journalctl's options for which entries are meant."""
    named = {"--since": since, "--until": until, "--grep": grep}
    return [f"{option}={value}" for option, value in named.items() if value]


def plain_command(arguments: Sequence[str]) -> str:
    """Words joined by single blanks, unquoted, as fleet's ``ssh`` and OpenSSH hand them over."""
    return " ".join(arguments)


def as_root(command: str, sudo: bool) -> str:
    """A shell command as root's, by sudo where the login is not root."""
    prefix = "sudo -n -- " if sudo else ""
    return prefix + shell_command(command)
