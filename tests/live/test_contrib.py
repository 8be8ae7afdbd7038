"""What is shipped for running it all the time, judged by the systemd of a machine."""

from __future__ import annotations

from tests.live.conftest import ROOT, Fleet

SHIPPED = ROOT / "contrib" / "systemd"


def test_systemd_has_nothing_to_say_about_the_shipped_units(fleet: Fleet) -> None:
    script = ["mkdir -p /tmp/shipped && cd /tmp/shipped"]
    names = sorted(path.name for path in SHIPPED.iterdir())
    for name in names:
        script.append(f"cat >{name} <<'FILE'\n{(SHIPPED / name).read_text()}FILE\n")
    script.append("systemd-analyze verify --man=no $PWD/* 2>&1")
    done = fleet.lab.run_inside("m1", ["/bin/sh", "-c", "\n".join(script)])
    assert (done.returncode, done.stdout) == (0, "")


def test_systemd_would_have_found_a_mistake(fleet: Fleet) -> None:
    text = (SHIPPED / "fleetssh-run.service").read_text().replace("WatchdogSec=600", "WatchdogSec=often")
    script = f"cat >/tmp/wrong.service <<'FILE'\n{text}FILE\nsystemd-analyze verify /tmp/wrong.service 2>&1"
    assert "Failed to parse sec value" in fleet.lab.run_inside("m1", ["/bin/sh", "-c", script]).stdout
