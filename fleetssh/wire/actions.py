"""The part of a visit's program that only one with steps needs: POSIX sh functions that change a machine."""

from __future__ import annotations

from fleetssh.wire import paths
from fleetssh.wire.program import LOCK_WAIT_SECONDS

ACTING = rf"""
# Each of these prints an outcome section: action, exit status, then what the command said
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
stick() {{ stuck="$stuck $1 "; tell "${{3-stuck}}" "$1"; say "$2"; }}

# apart NAME...: nothing is done with those that the file of a unit that did not stop says it conflicts with.
# Nobody else may know that any more: it is being replaced, or was destroyed. A pattern with what fleet reads
# otherwise than a shell stands for anything.
apart() {{
  for old in $stuck; do
    [ -r {paths.UNITS}/"$old" ] || continue
    while read -r line || [ -n "$line" ]; do
      case $line in Conflicts*=*|X-Conflicts*=*) ;; *) continue ;; esac
      for pattern in ${{line#*=}}; do
        case $pattern in *[!]0-9A-Za-z:_.@*?[-]*) pattern='*' ;; esac
        for f; do
          case $f in $pattern) stick "$f" "it conflicts with $old, which has not stopped" apart ;; esac
        done
      done
    done <{paths.UNITS}/"$old"
  done
}}

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
"""Needs the functions of ``program``."""
