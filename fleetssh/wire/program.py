"""The fixed part of a visit's program: POSIX sh functions that look at a machine and change it.

The machine needs sh, coreutils and systemd. Names of units hold only ``[0-9A-Za-z:_.\\@-]``, so lists of
names live in plain variables. Every function is only defined here; ``script`` puts them, and what calls
them, into one ``{ }``: a program cut off anywhere is a syntax error and does nothing at all.
"""

from __future__ import annotations

from fleetssh.wire import paths

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

FUNCTIONS = rf"""
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
first() {{ v=; [ -r "$1" ] && IFS= read -r v <"$1"; say "$2=$v"; }}

# What stays true until the next boot is not said again to who knows this boot.
facts() {{
  tell facts
  first /proc/uptime uptime; now=${{v%%.*}}
  first /etc/machine-id machine_id
  first /proc/sys/kernel/random/boot_id boot_id; boot=$v
  [ -d /run/systemd/system ] && say systemd=yes
  [ -O /proc/1 ] && say root=yes
  tell conf; [ -r {paths.CONF} ] && say "$(cat {paths.CONF})"
  [ "$boot" = "$known" ] && return
  tell system
  first /sys/devices/system/cpu/online cpus
  say "$(cat /etc/os-release)"
  say "$(head -n 1 /proc/meminfo; systemctl show --no-pager -p Version -p Architecture)"
}}

# Sets: manifest (text), ours (names in our folder), launched (names that we started), blocked (names that
# we could not write because the machine has units of its own by them)
read_manifest() {{
  manifest=; launched=; blocked=; ours=
  [ -r {paths.MANIFEST} ] && manifest=$(cat {paths.MANIFEST})
  old=$IFS; IFS=$nl
  for line in $manifest; do
    case $line in
      launched\ *) launched="$launched$nl${{line##* }}" ;;
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
  list=$(systemctl list-units --all --plain --no-legend --no-pager --full) && {{ tell units; say "$list"; }}
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

# Launched by us and not alive now: did somebody stop them, or did they end by themselves?
endings() {{
  idle=
  [ -n "$launched" ] && idle=$(printf '%s\n' $alive $alive $launched | sort | uniq -u)
  [ -n "$idle" ] || return 0
  tell idle; say "$idle"
  set --; for f in $idle; do set -- "$@" UNIT="$f"; done
  tell jobs
  say "$(journalctl -b -q --no-pager -n {MAX_JOB_RECORDS} -o json --output-fields=UNIT,JOB_TYPE,JOB_RESULT \
    _PID=1 JOB_TYPE=start JOB_TYPE=stop JOB_TYPE=restart "$@")"
}}

details() {{
  [ -n "$started" ] && bad="$bad $(printf '%s\n' $alive $alive $started | sort | uniq -u)"
  set -- $bad; [ $# -gt 0 ] || return 0
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

# ---- acting; each prints an outcome section: action, exit status, then what the command said
outcome() {{ tell outcome "$1" "$2"; say "$3"; }}
run() {{ action=$1; shift; said=$("$@" 2>&1); outcome "$action" $? "$said"; }}

trouble() {{ tell trouble "$1"; say "$2"; }}

# A file of ours could not be written: may nothing be written at all, or is there no room? The error's text
# tells; some shells' test -w says that root may write anywhere.
unwritable() {{
  case $1 in
    *Read-only*|*"not permitted"*|*"ermission denied"*) trouble read-only "$1" ;;
    *) trouble disk-full "$1" ;;
  esac
}}

# prepare MANIFEST: the lock, a claim that is good enough, and nothing that was planned for another manifest
# than the machine's
prepare() {{
  said=$(mkdir -p -m 0755 {paths.FLEET} {paths.UNITS} 2>&1) || {{ unwritable "$said"; return 1; }}
  # Tried in a subshell first: a shell whose own exec cannot open a file ends at once.
  said=$({{ : >>{paths.LOCK}; }} 2>&1) || {{ unwritable "$said"; return 1; }}
  exec 9>>{paths.LOCK}
  if command -v flock >/dev/null && ! flock -w {LOCK_WAIT_SECONDS} 9; then
    trouble busy "another visit holds {paths.LOCK}"; return 1
  fi
  # Who waited long for the lock may have nobody left to work for: then this ends the program.
  tell locked; flush || exit
  read_manifest; read_holder
  obey || {{
    if [ -n "$refused" ]; then trouble "${{refused%% *}}" "${{refused#* }}"; else unwritable "$said"; fi
    return 1
  }}
  in_time || {{ trouble late "it lay on its way for too long; the next pass goes on"; return 1; }}
  if [ "$manifest" != "$1" ] || is_news; then
    trouble changed "it was visited by another or booted anew since it was looked at; the next pass goes on"
    return 1
  fi
  rm -rf {paths.FLEET}/stage
  said=$(mkdir -m 0755 {paths.FLEET}/stage 2>&1) || {{ unwritable "$said"; return 1; }}
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
  case $launched$nl in *"$nl$1$nl"*) return ;; esac
  case $(systemctl show --no-pager -p ActiveState -p FragmentPath -- "$1") in
    *FragmentPath=/*) ;; *ActiveState=active*) own=/proc/self/mountinfo ;;
  esac
}}

# mine NAME...: sets names to those that are neither guarded nor stuck; false when none is left
mine() {{
  names=
  for f; do case $shadowed$stuck in *" $f "*) ;; *) names="$names $f";; esac; done
  [ -n "$names" ]
}}

# write_manifest TEXT: replaces the manifest; a machine with nothing of ours keeps none
write_manifest() {{
  text=$1
  [ -z "$stuck" ] || keep_stuck
  [ -n "$text" ] || {{ rm -f {paths.MANIFEST}; return; }}
  if [ -n "$shadowed" ]; then
    lines=$text; text=; old=$IFS; IFS=$nl
    for line in $lines; do
      case $shadowed in *" ${{line##* }} "*) line="inactive ${{line#* }}" ;; esac
      text="$text$line$nl"
    done
    IFS=$old
  fi
  said=$({{ printf '%s' "$text" >{paths.FLEET}/manifest.new; }} 2>&1) &&
    said=$(mv -f {paths.FLEET}/manifest.new {paths.MANIFEST} 2>&1) || {{ unwritable "$said"; return 1; }}
}}

# Sets text to itself but for the stuck units, of which stands what stands in the machine's manifest.
keep_stuck() {{
  kept=; text=${{text:-${{manifest%%"$nl"*}}}}
  old=$IFS; IFS=$nl
  for line in $text; do case $stuck in *" ${{line##* }} "*) ;; *) kept="$kept$line$nl" ;; esac; done
  for line in $manifest; do case $stuck in *" ${{line##* }} "*) kept="$kept$line$nl" ;; esac; done
  IFS=$old
  text=$kept
}}

# stage NAME TEXT: a unit file into the staging folder
stage() {{
  mine "$1" || return 0
  said=$({{ printf '%s' "$2" >{paths.FLEET}/stage/"$1"; }} 2>&1) || full="$said "
  staged="$staged $1"
}}

# Before anything is stopped: a full disk must stop nothing.
all_staged() {{
  [ -z "$full" ] && return 0
  unwritable "$full"; rm -rf {paths.FLEET}/stage; return 1
}}

install_staged() {{
  [ -n "$staged" ] && mine $staged || return 0
  said=$(cd {paths.FLEET}/stage && mv -f -- $names {paths.UNITS}/ 2>&1) || {{ unwritable "$said"; return 1; }}
  link $names
}}

link() {{
  targets=; for f; do targets="$targets {paths.UNITS}/$f"; done
  run link ln -sf -- $targets {paths.LINKS}/
}}

# halt SECONDS NAME...: stops units and sees them stopped (rule 5). Those that still run, or of which systemd
# does not say, are remembered in stuck: nothing more is done with them, and the next visit tries again.
halt() {{
  limit=$1; shift
  run stop timeout "$limit" systemctl --no-ask-password stop -- "$@"
  for state in $(systemctl is-active -- "$@"); do
    case $state in inactive|failed) ;; *) stick "$1" "still $state after $limit s" ;; esac
    shift
  done
  for f; do stick "$f" "systemd does not say whether it has stopped"; done
}}
stick() {{ stuck="$stuck $1 "; tell stuck "$1"; say "$2"; }}

# rest SECONDS NAME...: what came to life since it was looked at (by a timer, a socket, a person) is stopped
rest() {{
  limit=$1; shift; awake=
  for state in $(systemctl is-active -- "$@"); do
    case $state in inactive|failed|unknown) ;; *) awake="$awake $1" ;; esac
    shift
  done
  [ -z "$awake" ] || halt "$limit" $awake
}}

remove() {{
  systemctl --runtime --no-reload -q disable -- "$@"
  for f; do rm -f -- {paths.LINKS}/"$f" {paths.UNITS}/"$f"; done
  systemctl -q reset-failed -- "$@" || :
}}
"""
