"""missing-kernel-struct: public headers that a BCC program does not include, and structs that libbpf only declares."""

from __future__ import annotations

from pathlib import Path

import pytest
from ebpffix_transforms.missing_kernel_struct import public_headers
from support import findings

from ebpffix.fix import BCC, Fix, Safety, apply
from ebpffix.kernel import headers as kernel_headers

NAME = "missing-kernel-struct"
USE = "t->nsproxy->pid_ns_for_children->ns.inum"


def program(*includes: str, use: str = USE, before: str = "") -> bytes:
    lines = "".join(f"#include <{name}>\n" for name in includes)
    return (
        f"{lines}{before}\nint f(struct pt_regs *ctx)\n{{\n"
        f"\tstruct task_struct *t = (struct task_struct *)bpf_get_current_task();\n\treturn {use} != 0;\n}}\n"
    ).encode()


def found(*includes: str, use: str = USE, before: str = "") -> list[Fix]:
    return findings(program(*includes, use=use, before=before), NAME, dialect=BCC)


@pytest.fixture(autouse=True)
def no_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table alone, as on a machine without kernel headers."""
    monkeypatch.setattr(kernel_headers, "folders", lambda: ())
    monkeypatch.setattr(public_headers.headers, "folders", lambda: ())


@pytest.mark.parametrize(
    "includes, use",
    [
        (("linux/sched.h", "linux/nsproxy.h", "linux/pid_namespace.h"), USE),
        (("linux/sched.h", "linux/pid_namespace.h"), USE),  # leads to the other
        (("linux/sched.h",), "t->pid"),
        (("linux/sched.h",), "(long)t->nsproxy"),  # only handed on
        (("linux/sched.h", "drivers/unheard_of.h"), USE),  # may have it
        (("linux/sched.h",), "((struct pt_regs *)ctx)->ax"),
    ],
)
def test_left_alone(includes: tuple[str, ...], use: str) -> None:
    assert not found(*includes, use=use)


def test_a_struct_of_the_programs_own_is_left_alone() -> None:
    assert not found("linux/sched.h", before="struct nsproxy { int count; };", use="t->nsproxy->count")


def test_what_is_missing_is_included() -> None:
    first, second = found("linux/sched.h")
    assert first.safety is second.safety is Safety.SAFE
    assert first.message == (
        "no header that the program includes defines `struct nsproxy`, so BCC cannot compile the use of "
        "`pid_ns_for_children`; linux/nsproxy.h does"
    )
    after = apply(program("linux/sched.h"), [*first.edits, *second.edits])
    assert after.startswith(
        b"#include <linux/sched.h>\n#include <linux/nsproxy.h>\n#include <linux/pid_namespace.h>\n\nint f"
    )
    assert not findings(after, NAME, dialect=BCC)


def test_without_any_include() -> None:
    (fix,) = found(use="t->pid")
    assert fix.edits[0].text == b"#include <linux/sched.h>\n"


def test_headers_that_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the table does not know is looked up, whatever #if it stands in."""
    include = tmp_path / "include/linux"
    include.mkdir(parents=True)
    (include / "far.h").write_text("#if 0\n#include <linux/near.h>\n#endif\n")
    (include / "near.h").write_text("struct near { int x; };\n")
    monkeypatch.setattr(kernel_headers, "folders", lambda: (tmp_path,))
    assert kernel_headers.structs_behind(("linux/far.h",)) == frozenset({"near"})
    assert kernel_headers.structs_behind(("linux/far.h", "linux/gone.h")) is None
    assert kernel_headers.name_of(include / "far.h") == "linux/far.h"
    assert kernel_headers.name_of(Path("/elsewhere/far.h")) == ""


@pytest.mark.parametrize("header, count", [("linux/types.h", 1), ("linux/skbuff.h", 0), ("uapi/linux/bpf.h", 0)])
def test_libbpf_with_headers_of_the_kernel(header: str, count: int) -> None:
    """They may define what is only declared here."""
    text = f"#include <{header}>\n#include <bpf/bpf_helpers.h>\nstruct sk_buff;\n"
    text += 'SEC("tp_btf/kfree_skb") int f(unsigned long long *ctx)\n{\n\treturn ((struct sk_buff *)ctx[0])->len;\n}\n'
    fixes = findings(text.encode(), NAME)
    assert len(fixes) == count
