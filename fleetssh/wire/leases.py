"""Leases on a machine: the systemd units that end them, and the POSIX sh that begins, renews and drops them.

For every length of lease in use a machine has these, under /run like all that is ours:

- a *target*, by which the leased units run: a drop-in of each says ``Requisite=``, ``PartOf=``, ``After=``
  it, so systemd itself refuses to start one while the target is inactive, and stops them all with it;
- a *deadline*, a file with the uptime in seconds until which the lease runs. Renewing it is one write, and
  asks systemd nothing. What it says was added up from the very reading of the clock by which the visit was
  found not to come too late: a visit that froze before it writes a deadline that has passed;
- a *timer* that has a *service* look at the deadline at half time. When less is left than until the next
  look the service waits for the rest, so the end comes on the second. The timer counts from the service's
  last run: one that counts from its own start is put off by every ``systemctl daemon-reload``. It wants the
  target, and nothing else may start that: there is no moment with a target and no timer;
- an *over* service, which systemd starts itself and irreversibly when the looking failed, for whatever
  reason: it conflicts with the target, and kills what has not stopped in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fleetssh.core.leases import LEASE_STOP_SECONDS
from fleetssh.wire import paths
from fleetssh.wire.quoting import quote

PREFIX = "fleetssh-lease-"
DROP_IN = "50-fleetssh-lease.conf"

LATE_SECONDS = 3
"""A lease whose end was noticed so long after its deadline ended while the machine was frozen, and another
machine may run the unit already: what runs is killed at once, not asked to stop."""

ACCURACY_SLACK_SECONDS = 2
"""A look that would come when less than this is left may come too late: the timer may be a second late, and
the clock is read in whole seconds."""

RENEWING = rf"""
# renew_leases: as of the moment that in_time read; what has run out is not renewed
renew_leases() {{
  set +f; set -- {paths.LINKS}/{PREFIX}*.due; set -f
  for file; do
    [ -r "$file" ] && read -r due <"$file" && [ "$now" -lt "$due" ] || continue
    lease=${{file##*-}}; set_deadline "${{lease%.due}}"
  done
}}
# Overwritten in place, which works on a full disk and is never seen half
set_deadline() {{ printf '%-12d\n' $((now + $1)) 1<>{paths.LINKS}/{PREFIX}"$1".due; }}
"""
"""Needs ``in_time`` of the visit's program. Where there are no leases it costs looking for their files."""

ACTING = rf"""
leased=' '; leases=' '; unread=; ended=
holds() {{
  [ -r "$1" ] || return
  have=; while IFS= read -r line; do have=$have$line$nl; done <"$1"
  [ "$have" = "$2" ]
}}
# put PATH TEXT: a file that is there is replaced whole; one that could not be written is not left behind
put() {{
  holds "$1" "$2" && return
  new=$1; [ -e "$1" ] && new=$1.new
  said=$({{ printf '%s' "$2" >"$new" && {{ [ "$new" = "$1" ] || mv -f -- "$new" "$1"; }}; }} 2>&1) ||
    {{ rm -f -- "$new"; unwritable "$said"; return 1; }}
  unread=yes
}}

# make_lease SECONDS TARGET TIMER SERVICE OVER
make_lease() {{
  unit={paths.LINKS}/{PREFIX}$1; leases="$leases$1 "
  put "$unit.target" "$2" && put "$unit.timer" "$3" && put "$unit.service" "$4" &&
    put "$unit-over.service" "$5"
}}

# Before the units are told of them: whatever reloads systemd in between finds them running.
begin_leases() {{
  # Not told as the act's own reload, which is yet to come
  [ -z "$unread" ] || {{ systemctl daemon-reload; unread=; }}
  said='it took too long to begin a lease'
  while :; do
    in_time || {{ trouble late "$said; the next pass goes on"; return 1; }}
    timers=
    for lease in $leases; do
      set_deadline "$lease" || {{ trouble read-only "the deadline of a lease cannot be written"; return 1; }}
      timers="$timers {PREFIX}$lease.timer"
    done
    if said=$(systemctl --no-ask-password start -- $timers 2>&1); then
      # Frozen since the clock was read, it has begun one that ran out long ago and is about to end.
      in_time && return
      trouble late 'it took too long to begin a lease; the next pass goes on'; return 1
    fi
    # One that is just running out is begun anew when what lived by it has stopped.
    case $said in *destructive*) said="a lease is still running out there"; sleep 1 ;; *) break ;; esac
  done
  trouble lease "$said"; return 1
}}

# lease_units SECONDS NAME...
lease_units() {{
  unit={PREFIX}$1.target; shift
  mine "$@" || return 0
  set -- $names
  text="[Unit]${{nl}}Requisite=$unit${{nl}}PartOf=$unit${{nl}}After=$unit$nl"
  folders=; for f; do [ -d {paths.LINKS}/"$f.d" ] || folders="$folders {paths.LINKS}/$f.d"; done
  [ -z "$folders" ] || said=$(mkdir -p -- $folders 2>&1) || {{ unwritable "$said"; return 1; }}
  for f; do leased="$leased$f "; put {paths.LINKS}/"$f.d/{DROP_IN}" "$text" || return 1; done
}}

read_leases() {{ [ -z "$unread" ] || run reload systemctl daemon-reload; unread=; }}

# Just before systemd is reloaded: units that live by no lease any more, and leases by which none lives
drop_leases() {{
  set +f; set -- {paths.LINKS}/*.d/{DROP_IN}; set -f
  files=; folders=
  for file; do
    f=${{file%.d/*}}; f=${{f##*/}}
    case "$leased$stuck" in *" $f "*) continue ;; esac
    [ -e "$file" ] && {{ files="$files $file"; folders="$folders ${{file%/*}}"; }}
  done
  [ -z "$files" ] || {{ rm -f -- $files; rmdir -- $folders; }}
  [ -z "$stuck" ] || return 0
  set +f; set -- {paths.LINKS}/{PREFIX}*.timer; set -f
  for file; do
    lease=${{file##*-}}; lease=${{lease%.timer}}
    case $leases in *" $lease "*) continue ;; esac
    [ -e "$file" ] && ended="$ended $lease"
  done
}}

# Just after it: only now does nothing stop with what ends.
end_leases() {{
  unread=
  [ "$leases$files" = ' ' ] || outcome lease 0 ''
  for lease in $ended; do
    unit={PREFIX}$lease
    systemctl --no-ask-password stop -- $unit.timer $unit.service $unit.target
    rm -f -- {paths.LINKS}/$unit.timer {paths.LINKS}/$unit.service {paths.LINKS}/$unit.target \
      {paths.LINKS}/$unit-over.service {paths.LINKS}/$unit.due
  done
}}
"""
"""Needs ``run``, ``outcome``, ``trouble``, ``unwritable``, ``mine``, ``in_time`` of the visit's program."""


def write_leases(leases: Mapping[str, int], *, reloads: bool) -> Iterator[str]:
    """Lines of an act that has all ``leases`` (unit -> seconds) running, and their units told of them, before
    anything is stopped: where they cannot be written or begun, the act ends. ``reloads`` tells that the act
    will reload systemd; else these lines do, where it has something new to read."""
    table = {unit: seconds for unit, seconds in leases.items() if seconds}
    lengths = sorted(set(table.values()))
    for seconds in lengths:
        texts = " ".join(quote(text) for text in _units(seconds))
        yield f"make_lease {seconds} {texts} || return"
    if lengths:
        yield "begin_leases || return"
    for seconds in lengths:
        names = sorted(unit for unit in table if table[unit] == seconds)
        yield f"lease_units {seconds} {' '.join(quote(name) for name in names)} || return"
    if lengths and not reloads:
        yield "read_leases"


def read_leases(lines: Iterable[str]) -> frozenset[int]:
    """The seconds of the leases that run, from the lines of ``systemctl list-units --all --plain``: those
    whose target and timer are both active."""
    active = {words[0] for line in lines if len(words := line.split()) > 2 and words[2] == "active"}
    return frozenset(
        int(number)
        for unit in active
        if unit.startswith(PREFIX) and unit.endswith(".target")
        if (number := unit[len(PREFIX) : -len(".target")]).isascii() and number.isdigit()
        if len(number) < 10 and f"{PREFIX}{number}.timer" in active
    )


def _units(seconds: int) -> tuple[str, str, str, str]:
    """Target, timer, service and over service of a lease."""
    unit = f"{PREFIX}{seconds}"
    title = f"Description=fleetssh lease of {seconds} s:"
    # Starts are not counted: an operator's impatience must not make a lease end.
    own = "DefaultDependencies=no\nStartLimitIntervalSec=0"
    over = f"OnFailure={unit}-over.service\nOnFailureJobMode=replace-irreversibly"
    # A machine that sleeps counts no time: it goes to sleep without them.
    target = (
        f"[Unit]\n{title} what lives by it\nRefuseManualStart=yes\n"
        "Conflicts=sleep.target\nBefore=sleep.target\n"
    )
    period = max(1, seconds // 2)
    timer = (
        f"[Unit]\n{title} looks at its deadline\n{own}\nWants={unit}.target\n{over}\n"
        f"[Timer]\nOnActiveSec=0\nOnUnitActiveSec={period}\nAccuracySec=1s\n"
    )
    process = "Type=oneshot\nOOMScoreAdjust=-1000\nExecStart=/bin/sh -c"
    deadline = f"{paths.LINKS}/{unit}.due"
    service = (
        f"[Unit]\n{title} has it run out?\n{own}\n{over}\n"
        f"[Service]\nLogLevelMax=notice\n{process} {_in_unit(_look(deadline, period))}\n"
    )
    end = (
        f"[Unit]\n{title} it has run out\n{own}\nConflicts={unit}.target {unit}.timer\n"
        f"[Service]\n{process} {_in_unit(_end(unit, deadline))}\n"
    )
    return target, timer, service, end


def _look(deadline: str, period: int) -> str:
    near = period + ACCURACY_SLACK_SECONDS
    return (
        f"while read -r due <{deadline} && read -r now _ </proc/uptime && "
        "left=$((due - ${now%%.*})) && [ $left -gt 0 ]; do "
        f"[ $left -le {near} ] || exit 0; sleep $left; done; exit 1"
    )


def _end(unit: str, deadline: str) -> str:
    """Kills what still runs, once a second until nothing does, when it had its time to stop."""
    patience = int(LEASE_STOP_SECONDS)
    return (
        f"set -f; n=0; systemctl -q reset-failed {unit}.service; "
        f"read -r due <{deadline} && read -r now _ </proc/uptime && "
        f"[ ${{now%%.*}} -gt $((due + {LATE_SECONDS})) ] && n={patience}; "
        f"while :; do busy=; names=$(systemctl show -p ConsistsOf {unit}.target); "
        "set -- ${names#*=}; "
        "[ $# -gt 0 ] || exit 0; "
        'for state in $(systemctl is-active -- "$@"); do '
        'case $state in inactive|failed) ;; *) busy="$busy $1" ;; esac; shift; done; '
        '[ -n "$busy" ] || exit 0; '
        f"[ $n -lt {patience} ] || systemctl kill -s KILL -- $busy; n=$((n + 1)); sleep 1; done"
    )


def _in_unit(script: str) -> str:
    """A shell program without single quotes and backslashes as one word of ``ExecStart=``."""
    return "'" + script.replace("%", "%%").replace("$", "$$") + "'"
