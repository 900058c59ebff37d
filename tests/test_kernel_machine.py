"""Machines by all their names."""

from ebpffix.kernel.machine import NAMES, here, machine


def test_a_machine_by_any_of_its_names() -> None:
    for name in ("x86_64", "AMD64", "x86"):
        found = machine(name)
        assert found is not None and found.target == "x86"
    assert machine("pdp11") is None


def test_no_name_means_two_machines() -> None:
    assert all(machine(name) is not None for name in NAMES)
    assert {machine(n).target for n in ("aarch64", "armv7l")} == {"arm64", "arm"}  # type: ignore[union-attr]


def test_this_machine_is_one_that_bpf_programs_are_made_for() -> None:
    assert here() is not None
