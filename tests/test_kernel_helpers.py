"""The table of helpers against the declarations that ship with ebpffix: neither forgets one, and they agree on each."""

import re
from pathlib import Path

import pytest

from ebpffix.kernel.helpers import HELPERS, METHODS, Helper, Returns, Role, helper, method

HEADERS = Path(__file__).parent.parent / "ebpffix" / "headers"
_POINTERS = set(Role) - {Role.NUMBER, Role.SIZE, Role.FLAGS, Role.KEY_ITSELF}


def _helpers() -> dict[str, tuple[str, list[str]]]:
    """Of each declared helper its result and its parameters."""
    text = (HEADERS / "libbpf/bpf/bpf_helper_defs.h").read_text()
    rows = re.findall(r"^EBPFFIX_HELPER\(\d+, ([^,]+), (\w+), ([^()]*)\)", text, re.MULTILINE)
    return {f"bpf_{name}": (result, [p.strip() for p in parameters.split(",")]) for result, name, parameters in rows}


def _methods() -> dict[str, tuple[str, list[str]]]:
    text = (HEADERS / "bcc/maps.h").read_text()
    rows = re.findall(r"([\w ]+\*?)\(\*(\w+)\)\(([^()]*)\);", text)
    return {name: (result.strip(), [p.strip() for p in parameters.split(",")]) for result, name, parameters in rows}


def test_each_knows_all_that_the_other_has() -> None:
    assert len(_helpers()) == 211
    assert set(_helpers()) == set(HELPERS)
    assert set(_methods()) == set(METHODS)


@pytest.mark.parametrize(
    ("row", "result", "parameters"),
    [
        *((HELPERS[name], *declared) for name, declared in _helpers().items()),
        *((METHODS[name], *declared) for name, declared in _methods().items()),
    ],
    ids=lambda value: value.name if isinstance(value, Helper) else "",
)
def test_a_row_agrees_with_its_declaration(row: Helper, result: str, parameters: list[str]) -> None:
    # The header says `long` for what the verifier knows as a struct pt_regs.
    assert row.returns.is_pointer == (result.endswith("*") or row.name == "bpf_task_pt_regs")
    assert (row.returns is Returns.NOTHING) == (result == "void" or row.name in ("bpf_spin_lock", "bpf_spin_unlock"))
    named = [p for p in parameters if p not in ("void", "...")]
    if row.name not in ("update", "insert", "increment", "atomic_increment"):  # their flags or amount may be left out
        assert len(row.roles) == len(named)
    for role, parameter in zip(row.roles, named, strict=False):
        assert (role in _POINTERS) == ("*" in parameter), parameter
        if role in (Role.WRITTEN, Role.INTO, Role.CHANGED):
            assert "const" not in parameter
    sizes = [i for i, role in enumerate(row.roles) if role is Role.SIZE]
    assert all(row.roles[i - 1] in _POINTERS for i in sizes)


def test_the_marks_stand_where_they_mean_something() -> None:
    for row in HELPERS.values():
        assert not row.moves_packets or row.role(0) is Role.CONTEXT
        assert not row.changes_map or Role.MAP in row.roles
        assert row.since >= (3, 19)


def test_what_a_caller_asks() -> None:
    output = helper("bpf_perf_event_output")
    assert output is not None and output.reads == {3: 4} and output.since == (4, 4)
    update = helper("bpf_map_update_elem")
    assert update is not None and update.reads == {1: None, 2: None} and update.changes_map
    read = helper("bpf_core_read_str")
    assert read is not None and read.reads_string and read.role(2).is_probed and not read.reads
    assert method("perf_submit_skb") == Helper(
        "perf_submit_skb", (4, 4), Returns.ERROR, (Role.CONTEXT, Role.NUMBER, Role.READ, Role.SIZE)
    )
    assert helper("map_lookup_elem") is None and helper("bpf_map_lookup_elemental") is None
    assert method("bpf_map_lookup_elem") is None
