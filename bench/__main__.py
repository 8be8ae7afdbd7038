"""``make bench``: every figure beside a floor measured in the same run; ratios matter, not seconds."""

from __future__ import annotations

import sys

from bench import commandline, passes, placement

TITLES = {
    "placement": placement.main,
    "commandline": commandline.main,
    "passes": passes.main,
}

chosen = sys.argv[1:] or list(TITLES)
for title in chosen:
    print(f"\n== {title}")
    TITLES[title]()
