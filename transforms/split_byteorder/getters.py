"""Functions of the kernel's headers that give a pointer, and what they compute it from.

    own_words(unit) -> Iterator[Fix]    their calls on a pointer that BCC knows, written out

`ip_hdr(skb)` reads `skb->head` in a body that BCC does not rewrite, so the verifier refuses it. Written out,
`(struct iphdr *)(skb->head + skb->network_header)`, it is two probe reads, and BCC follows the pointer that comes out.

Measured with BCC 0.26, headers of Linux 6.1 and the verifier of 6.18, for the rows of ip, tcp, skb_shinfo, MAC header,
control block, tcp_sk and inode (the others have the same shape), as it was and written out: refused, then accepted;
`TCP_SKB_CB(skb)` into a pointer is accepted as it is, a member of it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.provenance import is_reached, prove
from ebpffix.fix import Fix, Safety
from ebpffix.frontend import Node, Unit

_HEADERS = "`{name}` of the kernel's headers reads `{object}` where BCC rewrites nothing"
_MACRO = "BCC does not rewrite a member of `{name}`, a macro of the kernel's headers"
_CONTAINER = "`{name}` is a `container_of` in the kernel's headers, which BCC cannot compile"
_OLDER = "headers of before Linux 6.4, and of older stable kernels, have a function there that BCC compiles"


@dataclass(frozen=True)
class _Row:
    """`text` is what a getter computes of its argument `{0}`; `doubt` as in `Made`."""

    text: str
    why: str = _HEADERS
    doubt: str = ""
    member_only: bool = False  # the pointer itself is right as it is


_HEAD = "(struct %s *)({0}->head + {0}->%s)"
_ROWS = {
    "skb_shinfo": _Row(_HEAD % ("skb_shared_info", "end")),
    "ip_hdr": _Row(_HEAD % ("iphdr", "network_header")),
    "ipv6_hdr": _Row(_HEAD % ("ipv6hdr", "network_header")),
    "tcp_hdr": _Row(_HEAD % ("tcphdr", "transport_header")),
    "udp_hdr": _Row(_HEAD % ("udphdr", "transport_header")),
    "icmp_hdr": _Row(_HEAD % ("icmphdr", "transport_header")),
    "eth_hdr": _Row(_HEAD % ("ethhdr", "mac_header")),
    "skb_end_pointer": _Row("({0}->head + {0}->end)"),
    "skb_network_header": _Row("({0}->head + {0}->network_header)"),
    "skb_transport_header": _Row("({0}->head + {0}->transport_header)"),
    "skb_mac_header": _Row("({0}->head + {0}->mac_header)"),
    "file_inode": _Row("{0}->f_inode"),
    "TCP_SKB_CB": _Row("(struct tcp_skb_cb *){0}->cb", _MACRO, member_only=True),
    "tcp_sk": _Row("(struct tcp_sock *){0}", _CONTAINER, _OLDER),
}
NAMES = frozenset(_ROWS)
_SIMPLE = re.compile(rb"\w+(?:(?:->|\.)\w+)*\Z")


def own_words(unit: Unit) -> Iterator[Fix]:
    """The calls of getters of the kernel's headers on a tracked pointer, each with what it computes in its place."""
    for call in unit.calls:
        row = _ROWS.get(call.name)
        if row is None or len(call.arguments) != 1 or not _is_of_the_kernel(unit, call):
            continue
        if not is_reached(unit, call.function):
            continue
        given = call.arguments[0].bare
        is_member = call.outer is not None and call.outer.arrow
        if (row.member_only and not is_member) or not _SIMPLE.match(given.text):
            continue
        proof = prove(unit, given)
        if not (proof.is_number and proof.is_tracked) or not unit.editable(call.path, call.start, call.end):
            continue
        text = row.text.format(given.text.decode()).encode()
        whole = text.startswith(b"(") and not text.startswith(b"(struct")
        alone = whole or not text.startswith(b"(") or _stands_alone(call)
        message = row.why.format(name=call.name, object=given.text.decode()) + f": write `{text.decode()}`"
        doubt = row.doubt or ("" if proof.is_certain else proof.doubt)
        safety = Safety.SUGGESTED if doubt else Safety.SAFE
        edit = unit.edit(call, text if alone else b"(" + text + b")")
        yield Fix(call, message, safety, [edit], doubt, proof.chains)


def _is_of_the_kernel(unit: Unit, call: Node) -> bool:
    """Whether BCC compiles the kernel's function there: the program has none of its own, and stands in its own file."""
    target = call.declaration
    own = target is None or target.definition is not None or target.path in unit.sources
    return not own and call.path == unit.path


def _stands_alone(call: Node) -> bool:
    """Whether nothing binds tighter than the cast that the text begins with."""
    outer = call.outer
    return outer is not None and (outer.kind in ("VAR_DECL", "CALL_EXPR", "RETURN_STMT") or outer.operator == "=")
