"""Somebody works on the machine: asked, told, waited for, deferred; never cut off without a word. Under every shell."""

from pathlib import Path

from contracts.sh_host import Build, ShHost, make_build

BUSY = "#!/bin/sh\n[ ! -e ../../shared/somebody ] || { echo 'a form is open'; exit 1; }\n"
NOTICE = "#!/bin/sh\necho told >>../../shared/notices\n"
ASKS = {"base": "1.0", "busy": "bin/busy", "busy_seconds": 1, "notice": "bin/notice"}


def asking_build(folder: Path) -> Build:
    return make_build(folder, "2.0", **{"bin/busy": BUSY, "bin/notice": NOTICE})


def somebody_works(host: ShHost) -> Path:
    mark = host.root / "shared/somebody"
    mark.touch()
    return mark


def test_where_nobody_works_the_host_is_upgraded(host: ShHost, old: Build, tmp_path: Path) -> None:
    fact = host.apply(asking_build(tmp_path), **ASKS)

    assert (fact["outcome"], fact["detail"]) == ("upgraded", "")


def test_where_somebody_works_the_old_version_stays_and_the_next_call_upgrades(
    host: ShHost, old: Build, tmp_path: Path
) -> None:
    build, mark = asking_build(tmp_path), somebody_works(host)

    deferred = host.apply(build, **ASKS)

    assert (deferred["outcome"], deferred["step"], deferred["changed"]) == ("busy", "busy", False)
    assert "a form is open" in deferred["detail"]
    assert host.current == "1.0"
    assert host.service_runs()
    assert "switch-started" not in host.facts[-3:]
    assert (host.root / "shared/notices").read_text() == "told\n"
    mark.unlink()
    assert host.run("apply", build, **ASKS)["outcome"] == "upgraded"


def test_a_release_may_go_on_and_then_whoever_works_has_been_told_twice(
    host: ShHost, old: Build, tmp_path: Path
) -> None:
    somebody_works(host)

    fact = host.apply(asking_build(tmp_path), **ASKS, busy_then="go-on")

    assert fact["outcome"] == "upgraded"
    assert "had been told" in fact["detail"]
    assert (host.root / "shared/notices").read_text() == "told\ntold\n"
    assert "user-told" in host.facts


def test_a_program_that_cannot_tell_counts_as_somebody(host: ShHost, old: Build, tmp_path: Path) -> None:
    build = make_build(tmp_path, "2.0", **{"bin/busy": "#!/bin/sh\nexit 7\n"})

    assert host.apply(build, base="1.0", busy="bin/busy", busy_seconds=1)["outcome"] == "busy"


def test_without_the_program_nothing_is_switched(host: ShHost, old: Build, tmp_path: Path) -> None:
    fact = host.apply(make_build(tmp_path, "2.0"), **ASKS)

    assert (fact["outcome"], fact["step"]) == ("failed", "busy")
    assert host.current == "1.0"
