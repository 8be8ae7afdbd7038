"""The plain commands that a verb runs on one machine for a person: status, journal, a shell."""

from __future__ import annotations

from collections.abc import Sequence

from fleetssh.wire.quoting import quote, words

FOLLOW = (
    "exec 3<&0; journalctl {} -f & reader=$!; "
    "{{ cat <&3; kill $reader; }} >/dev/null 2>&1 & watcher=$!; "
    "wait $reader; status=$?; kill $watcher; exit $status"
)
"""The watcher reads standard input by another name, as shells give their background an empty one."""


def status_command(name: str, *, sudo: bool) -> str:
    """fleet's ``systemctl status -l NAME``, without a pager."""
    return _as_root(f"SYSTEMD_COLORS=0 systemctl status --no-pager -l -- {quote(name)}", sudo)


def journal_command(
    name: str, *, lines: int, follow: bool, output: str, sudo: bool, since: str = "", until: str = ""
) -> str:
    """fleet's ``journalctl --unit NAME --no-pager -n LINES --output MODE [-f]``.

    A followed journal ends when our end of standard input closes: nothing is left running on the machine. It
    ends also when journalctl does, with its exit code: it refuses an output mode that it does not know.
    """
    options = ["--unit", name, "--no-pager", "-n", str(lines), "--output", output]
    options += ["--since", since] if since else []
    options += ["--until", until] if until else []
    if not follow:
        return _as_root(f"journalctl {words(options)}", sudo)
    return _as_root(FOLLOW.format(words(options)), sudo)


def plain_command(arguments: Sequence[str]) -> str:
    """Words joined by single blanks, unquoted, as fleet's ``ssh`` and OpenSSH hand them over."""
    return " ".join(arguments)


def _as_root(command: str, sudo: bool) -> str:
    prefix = "sudo -n -- " if sudo else ""
    return f"{prefix}/bin/sh -c {quote(command)}"
