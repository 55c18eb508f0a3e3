"""Whatever byte of whatever was signed is another one, nothing runs: manifest, checksums, plan, records, signatures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from fakes import Hospital
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.errors import UpgraderError
from upgrader.flow.applying.apply import apply_change

USUAL = Hospital()
NAMES = sorted(USUAL.branch.commits[-1].tree)


def test_all_that_is_signed_is_here() -> None:
    last = {name.rsplit("/", 1)[-1] for name in NAMES}

    assert {"release.yml", "SHA256SUMS", "SHA256SUMS.sig", "plan.json", "request.yml"} <= last
    assert len([name for name in NAMES if "/approve_" in name and name.endswith(".sig")]) >= 2
    assert len([name for name in NAMES if "-test_" in name and name.endswith(".sig")]) >= 2


@given(st.data())
def test_no_mutation_of_a_signed_byte_lets_a_plan_run(data: st.DataObject) -> None:
    hospital = Hospital()
    name = data.draw(st.sampled_from(NAMES))
    content = bytearray(hospital.branch.commits[-1].tree[name])
    place = data.draw(st.integers(0, len(content)))
    match data.draw(st.sampled_from(("flip", "cut", "add"))):
        case "flip" if place < len(content):
            content[place] ^= data.draw(st.integers(1, 255))
        case "cut" if content:
            del content[min(place, len(content) - 1) :]
        case _:
            content[place:place] = data.draw(st.binary(min_size=1, max_size=8))
    hospital.branch.add({name: bytes(content)})

    with pytest.raises(UpgraderError):
        apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert hospital.fleet.runs == []
    assert hospital.journal.history().last(Event.GATE_REFUSED) is not None


def test_without_a_mutation_it_runs() -> None:
    hospital = Hospital()

    apply_change(hospital.site(), builders.CHANGE, hospital.progress)

    assert hospital.fleet.runs
