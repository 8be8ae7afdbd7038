"""The fixed part of every visit's program: POSIX sh functions that look at a machine.

The machine needs sh, coreutils and systemd. Names of units hold only ``[0-9A-Za-z:_.\\@-]``, so lists of
names live in plain variables. Every function is only defined here; ``script`` puts them, and what calls
them, into one ``{ }``: a program cut off anywhere is a syntax error and does nothing at all.

A machine is looked at every few seconds for as long as it lives, and what that costs it is the processes that
are started: each one 0.6 ms of CPU, systemctl 4, and 0.2 more for a copy of the shell. So where all is well a
look starts one to take in its program, one for the files' digests, and one systemctl.
"""

from __future__ import annotations

from fleetssh.wire import leases, paths

MAX_DETAILS = 20
"""Failed or new units described in one reply: a person reads no more, and each costs a journal query."""

LOG_LINES = 10
"""Last log lines of a failed or new unit (fleet's own default for ``journal``)."""

LOG_BYTES = 1000
"""Of one line: a program may log megabytes at once, which must not make its machine's answer too long."""

MAX_JOB_RECORDS = 400
"""Job records read to learn how idle units ended; bounds the reply when a timer fires often."""

PROBE_SECONDS = 2
"""How long a machine tries the SSH ports of others: two packets may be lost, and a pass waits for it."""

HOLDER_WAIT_SECONDS = 5
"""How long a visit waits for another one that writes down whom the machine obeys: it takes a millisecond."""

LOCK_WAIT_SECONDS = 40
"""How long a visit waits for another one on the same machine before it gives up: longer than that may wait
for systemd's jobs."""

SHORT_LINES = 10
"""Of a manifest or a fleet.conf. To read 1,500 bytes one by one costs as much as to start a process for it:
so many lines have half of that, and the rest is left to a process."""

FEW = 50
"""So many names are compared with each other by the shell itself; for more, sort and uniq are quicker."""

LOOKING = rf"""
# Of a login's environment these two change what systemctl takes for options, and whom it asks.
unset POSIXLY_CORRECT SYSTEMD_OFFLINE
LC_ALL=C; export LC_ALL; LANG=C; SYSTEMD_COLORS=0; SYSTEMD_PAGER=; export SYSTEMD_COLORS SYSTEMD_PAGER
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
umask 022; set -f
exec </dev/null 2>/dev/null
nl='
'
# All but the first frame is said at once, at the end: every write would be a packet of its own.
out=
say() {{ out="$out$*$nl"; }}
# On a line of its own, even when the text before it ended without a newline
tell() {{ out="$out${{nl}}FLEETSSH $mark $*$nl"; }}
flush() {{ printf '%s' "$out"; out=; }}
# Sets text to what standard input says, without its blank lines. Shells read byte by byte, which for a short
# file is cheaper than to start a process.
slurp() {{
  text=; n=0
  while IFS= read -r line || [ -n "$line" ]; do
    [ -z "$line" ] || text="$text${{text:+$nl}}$line"
    n=$((n + 1)); [ $n -lt {SHORT_LINES} ] && continue
    line=$(cat); text="$text${{line:+$nl$line}}"; break
  done
}}
first() {{ v=; [ -r "$1" ] && IFS= read -r v <"$1"; say "$2=$v"; }}

# What stays true until the next boot is not said again to who knows this boot.
facts() {{
  tell facts
  first /proc/uptime uptime; now=${{v%%.*}}
  first /etc/machine-id machine_id
  first /proc/sys/kernel/random/boot_id boot_id; boot=$v
  [ -d /run/systemd/system ] && say systemd=yes
  [ -O /proc/1 ] && say root=yes
  tell conf; [ -r {paths.CONF} ] && slurp <{paths.CONF} && say "$text"
  [ "$boot" = "$known" ] && return
  tell system
  first /sys/devices/system/cpu/online cpus
  say "$(cat /etc/os-release)"
  say "$(head -n 1 /proc/meminfo; systemctl show --no-pager -p Version -p Architecture)"
}}

# Sets: manifest (text), ours (names in our folder), wrote (names that we have written), launched (those of
# them that we started), blocked (names that we could not write because the machine has units of its own by
# them)
read_manifest() {{
  manifest=; wrote=; launched=; blocked=; ours=
  [ -r {paths.MANIFEST} ] && slurp <{paths.MANIFEST} && manifest=$text
  old=$IFS; IFS=$nl
  for line in $manifest; do
    case $line in
      launched\ *) launched="$launched ${{line##* }}"; wrote="$wrote ${{line##* }}" ;;
      loaded\ *) wrote="$wrote ${{line##* }}" ;;
      inactive\ *) blocked="$blocked ${{line##* }}" ;;
    esac
  done
  IFS=$old
  if cd {paths.UNITS}; then
    set +f; set -- *; set -f
    [ -e "$1" ] || [ -L "$1" ] || shift
    ours=$*
  fi
}}

files() {{
  tell manifest; say "$manifest"
  tell files; [ -n "$ours" ] && say "$(sha1sum -- $ours)"
  tell unlinked
  for f in $ours; do [ {paths.LINKS}/"$f" -ef "$f" ] || say "$f"; done
}}

# Sets: alive (names that run, start, stop or have failed), bad (ours that failed or restart in a loop).
# Without the units section systemd did not answer: that is not the same as "nothing runs".
states() {{
  # A list of what is asked for is cheaper; but to look for many names is not, and versions may differ in what
  # a backslash means in a pattern.
  set -- $wrote
  case $* in *\\*) set -- ;; *) few "$@" && set -- "$@" '{leases.PREFIX}*' || set -- ;; esac
  list=$(systemctl list-units --all --plain --no-legend --no-pager --full -- "$@") &&
    {{ tell units; say "$list"; }}
  alive=; failed=
  old=$IFS; IFS=$nl
  for line in $list; do
    IFS=' '; set -- $line; IFS=$nl
    case $3 in inactive|'') ;; *) alive="$alive$nl$1";; esac
    case $3/$4 in failed/*|*/auto-restart*) failed="$failed$nl$1";; esac
  done
  IFS=$old
  bad=
  for f in $failed; do [ -e {paths.UNITS}/"$f" ] && bad="$bad $f"; done
}}

few() {{ [ $# -le {FEW} ]; }}

# find_idle NAME...: sets idle to those that are not alive
find_idle() {{
  idle=
  few "$@" || {{ idle=$(printf '%s\n' $alive $alive "$@" | sort | uniq -u); return; }}
  for f; do case $alive$nl in *"$nl$f$nl"*) ;; *) idle="$idle $f" ;; esac; done
}}

# Launched by us and not alive now: did somebody stop them, or did they end by themselves?
endings() {{
  find_idle $launched
  [ -n "$idle" ] || return 0
  tell idle; for f in $idle; do say "$f"; done
  set --; for f in $idle; do set -- "$@" UNIT="$f"; done
  tell jobs
  say "$(journalctl -b -q --no-pager -n {MAX_JOB_RECORDS} -o json --output-fields=UNIT,JOB_TYPE,JOB_RESULT \
    _PID=1 JOB_TYPE=start JOB_TYPE=stop JOB_TYPE=restart "$@")"
}}

details() {{
  find_idle $started
  set -- $bad $idle; [ $# -gt 0 ] || return 0
  some=; n=0
  for f; do n=$((n + 1)); [ $n -gt {MAX_DETAILS} ] && break; some="$some $f"; done
  tell details
  say "$(systemctl show --no-pager -p Id -p LoadError -p Result -p ExecMainCode -p ExecMainStatus \
    -p NRestarts -- $some)"
  for f in $some; do
    # Not -u: a program that cannot be run is told by a process that the journal may not know any more.
    tell log "$f"
    said=$(journalctl -b -q --no-pager -n {LOG_LINES} -o cat UNIT="$f" + _SYSTEMD_UNIT="$f" |
      cut -b -{LOG_BYTES})
    say "$said"
  done
}}

look() {{
  facts; read_manifest; read_holder
  [ -z "$cluster" ] || {{ obey; [ -n "$refused" ] || printf '%s\n' "$mark" 1<>{paths.LOOK}; }}
  tell holder; say "$held"
  if [ -n "$cluster" ]; then
    if in_time; then [ -n "$refused" ] || renew_leases; else tell late; fi
  fi
  guard occupied $blocked; files; states; endings; details
  [ -z "$probes" ] || try_ports $probes
}}

# ---- whose visits this machine obeys: the claim is in cluster, fence, who and, for adopting, over

# Sets held (CLUSTER FENCE WHO) and its parts
read_holder() {{
  held=; [ -r {paths.HOLDER} ] && IFS= read -r held <{paths.HOLDER}
  held_cluster=${{held%% *}}; held_who=${{held#* * }}; held_fence=${{held#* }}; held_fence=${{held_fence%% *}}
  case $held_fence in ''|*[!0-9]*) held_fence=0 ;; esac
}}

# Remembers a claim that is better than the one that the machine knows. False for a worse one, and refused
# says why; and where nothing can be written, and said tells
obey() {{
  refused=; owner=${{manifest#fleetssh * }}; owner=${{owner%% *}}
  case $manifest in *"$nl"launched\ *|*"$nl"loaded\ *) ;; *) owner= ;; esac
  if [ -n "$owner" ] && [ "$owner" != "$cluster" ] && [ "$owner" != "$over" ]; then
    refused="foreign it runs units of cluster $owner"; return 1
  fi
  [ "$held" = "$cluster $fence $who" ] && return
  # Looks don't wait for the machine's lock, which an act holds for long. Where it cannot be, none is needed:
  # then nothing can be written either.
  said=$({{ mkdir -p -m 0755 {paths.FLEET} && : >>{paths.HOLDER_LOCK}; }} 2>&1) || return
  exec 8>>{paths.HOLDER_LOCK}
  if command -v flock >/dev/null && ! flock -w {HOLDER_WAIT_SECONDS} 8; then
    refused="busy another visit holds {paths.HOLDER_LOCK}"; return 1
  fi
  read_holder; outrank; set -- $?
  exec 8>&-
  return $1
}}
outrank() {{
  if [ "$held_cluster" = "$cluster" ] && [ "$fence" -le "$held_fence" ]; then
    [ "$held" = "$cluster $fence $who" ] && return
    refused="fenced $held_who holds it (fence $held_fence, this is $fence)"; return 1
  fi
  said=$({{ printf '%s\n' "$cluster $fence $who" >{paths.HOLDER}.new &&
    mv -f {paths.HOLDER}.new {paths.HOLDER}; }} 2>&1) && held="$cluster $fence $who" && return
  rm -f {paths.HOLDER}.new; return 1
}}

# A visit that lay on its way for long may have been overtaken by what was decided since. Its time is that of
# the boot in which the machine was known to be.
in_time() {{
  IFS= read -r boot </proc/sys/kernel/random/boot_id; IFS=' .' read -r now _ </proc/uptime
  [ "$boot" = "$known" ] && [ "$now" -le "$valid" ]
}}

# Is the look on which the act was planned still the last one of a pass?
is_news() {{
  [ -n "$planned" ] && [ -r {paths.LOOK} ] || return
  IFS= read -r v <{paths.LOOK}; [ "$v" != "$planned" ]
}}

# try_ports NAME ADDRESS PORT...: what answers there? The kernel would try to connect for minutes.
try_ports() {{
  tell opinions; names="$*"
  while [ $# -gt 0 ]; do say "$1 asked"; shift 3; done
  command -v bash >/dev/null || {{ say "- none"; return; }}
  say "$(timeout {PROBE_SECONDS} bash -c '
    while [ $# -gt 0 ]; do
      {{ exec 3<>"/dev/tcp/$2/$3" && echo "$1 connected" && read -r hello <&3 &&
        case $hello in SSH-*) echo "$1 hello";; esac; }} 2>/dev/null &
      shift 3
    done
    wait' - $names)"
}}

# guard WORD NAME...: tells, and remembers in shadowed, the names that the machine has as units of its own;
# nothing below touches those
guard() {{
  word=$1; shift
  for f; do
    own=
    find_own "$f"
    # An instance is a unit of the machine's own when its template is one.
    case $f in *@.*) ;; *@*.*) [ -n "$own" ] || find_own "${{f%%@*}}@.${{f##*.}}" ;; esac
    # What the machine mounted by hand has no file, and systemd knows it all the same.
    case $f in *.mount|*.automount|*.swap|*.device) [ -n "$own" ] || find_made "$f" ;; esac
    [ -n "$own" ] && {{ shadowed="$shadowed $f "; tell "$word" "$f" "$own"; }}
  done
}}
find_own() {{
  for folder in {" ".join(paths.OWN_UNIT_FOLDERS)}; do
    [ -e "$folder/$1" ] || [ -L "$folder/$1" ] && {{ own=$folder/$1; return; }}
  done
  [ -e {paths.LINKS}/"$1" ] && [ ! {paths.LINKS}/"$1" -ef {paths.UNITS}/"$1" ] && own={paths.LINKS}/$1
}}
find_made() {{
  # Ours, though its file may have been deleted by hand
  case "$launched " in *" $1 "*) return ;; esac
  case $(systemctl show --no-pager -p ActiveState -p FragmentPath -- "$1") in
    *FragmentPath=/*) ;; *ActiveState=active*) own=/proc/self/mountinfo ;;
  esac
}}
"""
