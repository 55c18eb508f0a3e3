"""Times and lengths as people type them: read in the site's zone, or told what was expected; never a traceback."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from upgrader.cli import build
from upgrader.cli.arguments import Unfit, deadline, moment, past_moment, window
from upgrader.cli.entry import run_command
from upgrader.language import Language, Texts

ZONE = "Asia/Shanghai"
NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)  # a Friday, 12:00 in Shanghai


def test_moments_are_read_in_the_zone_of_the_site() -> None:
    assert moment("Sat 23:00", ZONE, NOW) == datetime(2026, 11, 21, 15, tzinfo=UTC)
    assert moment("+1h30m", ZONE, NOW) == NOW + timedelta(minutes=90)
    assert past_moment("2026-11-20 11:59", ZONE, NOW) == NOW - timedelta(minutes=1)
    assert deadline("2026-12-05", ZONE, NOW) == datetime(2026, 12, 5, 16, tzinfo=UTC)  # the end of that day
    assert deadline("+14d", ZONE, NOW) == NOW + timedelta(days=14)
    assert window("Sat 23:00 → Sun 03:00", ZONE, NOW)[1] == datetime(2026, 11, 21, 19, tzinfo=UTC)


@pytest.mark.parametrize("written", ["0001-01-01 00:00", "9999-12-31 23:59", "2026-13-40 00:00", "+", "+9999999d", ""])
@pytest.mark.parametrize("read", [moment, past_moment, deadline])
def test_what_nobody_can_mean_is_told(read: Callable[[str, str, datetime], datetime], written: str) -> None:
    for text in (written, written.partition(" ")[0]):
        with pytest.raises(Unfit):
            read(text, ZONE, NOW)


def test_a_window_that_ends_where_time_does_is_told() -> None:
    with pytest.raises(Unfit):
        window("9999-12-31 23:00 → +3h", ZONE, NOW)


@pytest.mark.parametrize("language", Language)
def test_a_command_that_is_nearly_another_is_told_which(
    language: Language, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = Texts(language)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)

    assert run_command(build(texts), texts, ["aply", "CHG-2026-0142"]) == 2
    assert "upgrader apply" in capsys.readouterr().err
    assert run_command(build(texts), texts, ["xylophone"]) == 2
    assert "upgrader xylophone" not in capsys.readouterr().err
