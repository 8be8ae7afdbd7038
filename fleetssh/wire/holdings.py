"""What a machine holds of ours: how its manifest and the files in it are asked for, and how that is heard."""

from __future__ import annotations

import base64
import binascii

from fleetssh.core.errors import WireError
from fleetssh.core.gathering import Holdings
from fleetssh.wire import paths
from fleetssh.wire.quoting import quote
from fleetssh.wire.remote import as_root
from fleetssh.wire.reply import parse_manifest, split_sections

MAX_FILE_BYTES = 1024 * 1024
"""As much as a unit file may have when it is handed over: whatever is larger is not one of ours any more."""

MAX_HOLDINGS_BYTES = 64 * 1024 * 1024
"""10,000 unit files of 2 KiB come as 30 MB; whatever says more is not answering us."""

PROGRAM = rf"""
LC_ALL=C; export LC_ALL; PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
set -f; exec 2>/dev/null
tell() {{ printf '\nFLEETSSH %s\n' "$mark $1"; }}
tell begin
tell machine; cat /etc/machine-id
tell boot; cat /proc/sys/kernel/random/boot_id
manifest=; [ -r {paths.MANIFEST} ] && manifest=$(cat {paths.MANIFEST})
tell manifest; printf '%s\n' "$manifest"
IFS='
'
for line in $manifest; do
  case $line in launched\ *|loaded\ *) ;; *) continue ;; esac
  name=${{line##* }}
  if [ -f {paths.UNITS}/"$name" ]; then
    tell "file $name"; head -c {MAX_FILE_BYTES + 1} {paths.UNITS}/"$name" | base64 -w 0
  else
    tell "gone $name"
  fi
done
tell end
"""
"""Needs head and base64 of coreutils. What a name that leads elsewhere would read, the answer's reader
refuses with the whole manifest."""


def holdings_command(mark: str, *, sudo: bool) -> str:
    """Asks a machine for its id, its boot, its manifest and the exact bytes of the unit files that it names.

    Changes nothing. ``mark`` frames the answer; it must be random, so that no file can imitate a frame.
    """
    return as_root(f"mark={quote(mark)}{PROGRAM}", sudo)


def read_holdings(host: str, mark: str, output: bytes) -> Holdings:
    """The answer to ``holdings_command``. Raises WireError for one that broke off or makes no sense.

    Whether a file is the one that the manifest means is for the reader of the value to say.
    """
    begun = output.find(f"FLEETSSH {mark} begin".encode())
    sections = list(split_sections(mark, output[begun:])) if begun >= 0 else []
    if not sections or sections[-1].name != "end":
        raise WireError(f"the answer broke off after {len(output)} bytes")
    named = {section.name: section.lines for section in sections}
    texts: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for section in sections:
        if section.name == "file":
            (name,) = section.arguments(1)
            text = _decode(name, "".join(section.lines))
            if len(text) > MAX_FILE_BYTES:
                missing[name] = f"its file is larger than {MAX_FILE_BYTES} bytes"
            else:
                texts[name] = text
        elif section.name == "gone":
            missing[section.arguments(1)[0]] = "its file is gone"
    manifest = parse_manifest(named.get("manifest", ()))
    return Holdings(
        host, _line(named.get("machine", ())), _line(named.get("boot", ())), manifest, texts, missing
    )


def _line(lines: tuple[str, ...]) -> str:
    return next((line.strip() for line in lines if line.strip()), "")


def _decode(name: str, coded: str) -> bytes:
    try:
        return base64.b64decode(coded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise WireError(f"the file of {name} came in no form that can be read") from error
