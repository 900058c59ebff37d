"""The names of sections: against libbpf's own list, where there is one."""

from __future__ import annotations

import ctypes

import pytest

from ebpffix.kernel import sections

# Newer than the libbpf of Debian 12 (1.1).
NEWER = tuple(
    """
    kprobe.session uprobe.multi uretprobe.multi uprobe.session usdt.s tc/ tcx/ netkit/ netfilter sk_skb/verdict
    struct_ops.s cgroup/connect_unix cgroup/sendmsg_unix cgroup/recvmsg_unix cgroup/getpeername_unix
    cgroup/getsockname_unix
    """.split()
)
KNOWN = sorted((*sections._ALONE, *(f"{name}/x" for name in sections._WITH_PLACE)))


@pytest.mark.parametrize(
    ("section", "now"),
    [
        ("xdp_prog", "xdp"),
        ("xdp/drop", "xdp"),
        ("xdp1", "xdp"),
        ("?xdp_prog", "?xdp"),
        ("xdp_devmap/egress", "xdp/devmap"),
        ("classifier/ingress", "tc"),
        ("tc_init", "tc"),
        ("socket/http", "socket"),
        ("sk_skb/stream_parser/a", "sk_skb/stream_parser"),
        ("xdp", ""),
        ("xdp/devmap", ""),
        ("tc/ingress", ""),
        ("classifier", ""),
        ("kprobe/f", ""),
        ("kprobe_f", ""),
        ("prog", ""),
        ("1/0", ""),
        ("license", ""),
        ("", ""),
    ],
)
def test_what_a_name_is_now(section: str, now: str) -> None:
    assert sections.known_as(section) == now
    assert sections.is_known(now or "xdp")


@pytest.fixture(scope="module")
def libbpf() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libbpf.so.1")
    except OSError:
        pytest.skip("no libbpf 1.x")


@pytest.mark.parametrize("name", [name for name in KNOWN if not name.startswith(NEWER)])
def test_libbpf_knows_them_too(libbpf: ctypes.CDLL, name: str) -> None:
    kind, attach = ctypes.c_int(), ctypes.c_int()
    assert libbpf.libbpf_prog_type_by_name(name.encode(), ctypes.byref(kind), ctypes.byref(attach)) == 0


@pytest.mark.parametrize("name", ["xdp_prog", "xdp/drop", "classifier/a", "tc_init", "socket1", "kprobe_f", "prog"])
def test_libbpf_refuses_what_is_unknown(libbpf: ctypes.CDLL, name: str) -> None:
    kind, attach = ctypes.c_int(), ctypes.c_int()
    assert libbpf.libbpf_prog_type_by_name(name.encode(), ctypes.byref(kind), ctypes.byref(attach)) < 0
    assert not sections.is_known(name)
