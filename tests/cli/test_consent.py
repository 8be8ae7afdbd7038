"""Nothing that was only shown is done without somebody who says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fleetssh.cli.consent import consents
from tests.cli.terminal import terminal

ASK = """
import sys
from fleetssh.cli.consent import consents
sys.exit(7 if consents("Go on?", yes=False) else 5)
"""


def test_whoever_said_yes_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert consents("Go on?", yes=True)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_nothing_is_done_and_it_is_said_how(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert not consents("Go on?", yes=False)
    assert capsys.readouterr() == ("", "nothing was changed; --yes does it without asking\n")


@pytest.mark.parametrize(("typed", "code"), [("y\n", 7), ("yes\n", 7), ("n\n", 5), ("\n", 5)])
def test_a_person_at_a_terminal_is_asked_and_silence_means_no(typed: str, code: int) -> None:
    with terminal([sys.executable, "-c", ASK], os.environ) as asked:
        asked.await_text("Go on? [y/N]: ")
        asked.type(typed)
        told = asked.finish()
    assert asked.process.returncode == code
    assert ("nothing was changed" in told) is (code == 5)
