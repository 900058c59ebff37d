"""Give programs the section names that libbpf knows.

What it does: `SEC("xdp_prog")`, `SEC("xdp/drop")`, `SEC("classifier_ingress")`, `SEC("socket1")` become `SEC("xdp")`,
`SEC("tc")`, `SEC("socket")`; `SEC("classifier")` becomes `SEC("tc")`.

Why: the name of the section says of what type a program is. Before 1.0 libbpf only looked at how it began; now it is
the name ("missing BPF prog type, check ELF section name"), and what stood behind it, to tell programs from each other,
is the function's name. Several programs may be in one section.

Since: libbpf 0.2 for several programs in a section, 0.3 for `tc`; any kernel. Loaders that look for a program by its
section have to look for the function: bpf_object__find_program_by_name, `name` in place of `sec` for bpftool and tc.

Suggested, always: the loader may know the program by its section.
Advice where a file next to the program, or one folder up, has that name in quotes or behind `sec`: the message says
which line.

Left alone: names that libbpf 1.0 knows (`xdp/devmap`, `tc/ingress`, `cgroup/connect4`), programs whose context is not
that of the type, and names that never told libbpf a type (`prog`, `from-netdev`, `1/0`): their loader sets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Macro, Node, Unit
from ebpffix.kernel.sections import known_as
from ebpffix.transform import Transform

_HOSTS = (".c", ".cc", ".cpp", ".h", ".go", ".py", ".rs", ".lua", ".sh", ".mk", "Makefile")

TRANSFORM = Transform(
    name="section-names",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"SEC(?<!\wSEC)\s*\(",),
    summary="section name that libbpf 1.0 does not know",
    imperative="name sections as libbpf knows them",
    neighbours=_HOSTS,
    shape='`SEC("xdp_prog")`, `SEC("classifier")`: libbpf 1.0 wants the exact name',
    suggested='`SEC("xdp")`, `SEC("tc")`',
    advice="the loader next to it uses the name",
)

_CLASSIFIER = "classifier"
_TC = re.compile(rb"\btc\s+filter\b")
_REASON = "a loader that finds the program by its section has to find it by its function's name"
# The contexts of the program types, by the name of the section.
_CONTEXTS = {
    **dict.fromkeys(("xdp", "xdp/devmap", "xdp/cpumap"), "xdp_md"),
    **dict.fromkeys(
        "socket tc action lwt_in lwt_out lwt_xmit lwt_seg6local sk_skb flow_dissector".split(), "__sk_buff"
    ),
    **dict.fromkeys(("sk_skb/stream_parser", "sk_skb/stream_verdict"), "__sk_buff"),
    **dict.fromkeys(("sk_reuseport", "sk_reuseport/migrate"), "sk_reuseport_md"),
    "perf_event": "bpf_perf_event_data",
    "sockops": "bpf_sock_ops",
    "sk_msg": "sk_msg_md",
    "sk_lookup": "bpf_sk_lookup",
}


def find(unit: Unit) -> Iterator[Fix]:
    for function in unit.functions:
        section = unit.program_section(function).decode("latin-1")
        now = "tc" if section == _CLASSIFIER else known_as(section)
        place = _place(unit, function, section) if now else None
        if place is None or not _fits(function, now.removeprefix("?")):
            continue
        old = "is the old name of" if section == _CLASSIFIER else "is a section that libbpf 1.0 does not know:"
        message = f'`{section}` {old} `SEC("{now}")`'
        user = _user(unit, section)
        if user:
            yield Fix(place, f"{message}; {user} looks for it", Safety.ADVICE, reason=_REASON)
            continue
        start, end = place.args[0]
        edit = Edit(place.path, start, end, b'"%s"' % now.encode())
        yield Fix(place, message, Safety.SUGGESTED, [edit], _REASON)


def _place(unit: Unit, function: Node, section: str) -> Macro | None:
    """The SEC() of a program, if a person wrote it with a plain literal."""
    body, literal = function.body, b'"%s"' % section.encode("latin-1")
    found = None
    for macro in unit.macros("SEC", path=function.path):
        if body is not None and macro.end <= body.start:
            found = macro
    if found is None or len(found.args) != 1 or unit.sources[found.path].data[slice(*found.args[0])] != literal:
        return None
    return found


def _fits(function: Node, section: str) -> bool:
    """Whether the context of a program is that of a type."""
    context = function.parameters[0].type if function.parameters else None
    if context is None or not context.is_pointer:
        return False
    return context.is_void_pointer or context.pointee.name == _CONTEXTS.get(section)


def _user(unit: Unit, section: str) -> str:
    """Where a file next to the program names a section."""
    if section == _CLASSIFIER and (place := unit.place_beside(_TC, *_HOSTS)):
        return place
    name = re.escape(section.removeprefix("?").encode("latin-1"))
    return unit.place_beside(re.compile(rb"""["'`]%s["'`]|\b(?:-s|sec|section)[ \t=]+%s\b""" % (name, name)), *_HOSTS)
