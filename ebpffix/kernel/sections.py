"""Which names of sections libbpf knows, and what it made of others before 1.0: the one place that says so.

    is_known("xdp")                True
    known_as("xdp_prog")           "xdp"      before 1.0 the beginning was enough
    known_as("xdp")                ""         there is nothing to say

Source: section_defs of libbpf's src/libbpf.c, of 0.8 and of 1.0 to 1.5.
"""

from __future__ import annotations

# Alone, or with a place behind a slash: `kprobe/tcp_sendmsg`.
_WITH_PLACE = frozenset(
    """
    kprobe kretprobe kprobe.multi kretprobe.multi kprobe.session uprobe uretprobe uprobe.s uretprobe.s uprobe.multi
    uretprobe.multi uprobe.multi.s uretprobe.multi.s uprobe.session uprobe.session.s ksyscall kretsyscall usdt usdt.s
    tracepoint tp raw_tracepoint raw_tp raw_tracepoint.w raw_tp.w tp_btf fentry fmod_ret fexit fentry.s fmod_ret.s
    fexit.s freplace lsm lsm.s lsm_cgroup iter iter.s struct_ops struct_ops.s
    """.split()
)
_ALONE = frozenset(
    """
    socket sk_reuseport/migrate sk_reuseport tc classifier action tc/ingress tc/egress tcx/ingress tcx/egress
    netkit/primary netkit/peer syscall xdp.frags/devmap xdp/devmap xdp.frags/cpumap xdp/cpumap xdp.frags xdp perf_event
    lwt_in lwt_out lwt_xmit lwt_seg6local sockops sk_skb/stream_parser sk_skb/stream_verdict sk_skb/verdict sk_skb
    sk_msg lirc_mode2 flow_dissector cgroup_skb/ingress cgroup_skb/egress cgroup/skb cgroup/sock_create
    cgroup/sock_release cgroup/sock cgroup/post_bind4 cgroup/post_bind6 cgroup/bind4 cgroup/bind6 cgroup/connect4
    cgroup/connect6 cgroup/connect_unix cgroup/sendmsg4 cgroup/sendmsg6 cgroup/sendmsg_unix cgroup/recvmsg4
    cgroup/recvmsg6 cgroup/recvmsg_unix cgroup/getpeername4 cgroup/getpeername6 cgroup/getpeername_unix
    cgroup/getsockname4 cgroup/getsockname6 cgroup/getsockname_unix cgroup/sysctl cgroup/getsockopt cgroup/setsockopt
    cgroup/dev sk_lookup netfilter
    """.split()
)
# What a name only had to begin with, in libbpf's order; and what it is called now, where that is another name.
_BEGINNINGS = (
    *"socket sk_reuseport/migrate sk_reuseport tc classifier action xdp_devmap/ xdp_cpumap/ xdp perf_event".split(),
    *"lwt_in lwt_out lwt_xmit lwt_seg6local sockops sk_skb/stream_parser sk_skb/stream_verdict sk_skb sk_msg".split(),
    *"lirc_mode2 flow_dissector sk_lookup/".split(),
)
_NOW = {"xdp_devmap/": "xdp/devmap", "xdp_cpumap/": "xdp/cpumap", "sk_lookup/": "sk_lookup", "classifier": "tc"}


def is_known(section: str) -> bool:
    """Whether libbpf from 1.0 on knows a section by its name."""
    name = section.removeprefix("?")
    return name in _ALONE or name in _WITH_PLACE or name.partition("/")[0] in _WITH_PLACE


def known_as(section: str) -> str:
    """The name of today for a section that libbpf took before 1.0 and refuses now; "" for all others."""
    if is_known(section):
        return ""
    mark, name = ("?", section[1:]) if section.startswith("?") else ("", section)
    beginning = next((b for b in _BEGINNINGS if name.startswith(b)), "")
    return mark + _NOW.get(beginning, beginning) if beginning else ""
