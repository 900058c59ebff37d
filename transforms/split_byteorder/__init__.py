"""Read a kernel field before a macro converts it.

What it does: in BCC, takes a member access of a kernel pointer out of a macro's argument. `u16 sport = ntohs(sk->f);`
becomes `u16 sport = sk->f;` and `sport = ntohs(sport);`. Elsewhere a local named after the field is read before the
statement, or `ntohs` becomes `bpf_ntohs`, which is a function in BCC, where the value may only be read in its place.

Why: BCC turns `sk->f` into a probe read, but not where it stands in a macro's argument, and `ntohs`, `be16_to_cpu`,
`min_t` and `likely` are macros there. The plain load stays, and the verifier refuses it ("R1 invalid mem access
'scalar'", which BCC reports as "Permission denied"). `READ_ONCE(sk->f)` does not even compile.

Safe where BCC's rewriter knows the pointer: an argument of the probe, a register of the context, the current task, and
what is reached from these. A function of the kernel's headers that computes a pointer from such a one (`ip_hdr(skb)`,
`skb_shinfo(skb)`) is written out, for BCC rewrites nothing in its body. Safe too where it does not (a pointer that was
an integer, or came out of a map, an explicit read or a function of the file; anything in a header, where BCC rewrites
nothing; an element of an array that a macro names, `s6_addr32[1]`): there the field is read by an explicit
`bpf_probe_read_kernel`.
Suggested where the read moves in front of `&&`, `||` or `?:` that guarded it (a failed probe read gives zero), and in a
header that user space includes too. `tcp_sk(sk)`, which the headers of some kernels make a `container_of` that BCC
cannot compile, becomes a cast.
Advice where the macro's own body holds the access, for bit-fields, for a chain over a pointer that BCC does not know,
for the result of such functions where BCC does not know the pointer that they are given, where it is not certain whose
memory it is, and where the read can be moved nowhere.

Left alone: locals, the context, packets, map values, arguments of fentry programs; `&sk->f` and `sizeof`; code that no
program reaches; libbpf, where splitting changes nothing.

Limits: a pointer whose origin the file does not tell is left alone, also one that is set from itself (`sk = sk->next`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from ebpffix.analysis.provenance import HOSTS, Space
from ebpffix.editing.c import one_line
from ebpffix.editing.settle import NoEdit, first_of
from ebpffix.fix import BCC, Fix, Safety, Span
from ebpffix.frontend import Macro, Node, Unit
from ebpffix.transform import Cure, Transform

from .getters import NAMES, own_words
from .reads import Read, reads
from .tracked import Root, root
from .ways import function, hoisted, local_names, split, unwrapped

# Names that read bytes through a macro's argument; libbpf has no rewriter that could miss it.
_READ_BY_A_MACRO = (
    r"(?s)\A(?!@libbpf).*(?<!\w)"
    r"(?:ntoh[sl]|hton[sl]|(?:__)?[bl]e(?:16|32|64)_to_cpup?|(?:__)?cpu_to_[bl]e(?:16|32|64))\s*\("
)

TRANSFORM = Transform(
    name="split-byteorder",
    pattern=1,
    dialects=(BCC,),
    triggers=(
        rb"->",
        rb"\b(?:%s)\s*\(" % "|".join(sorted(NAMES)).encode(),
    ),  # in whose argument it stands, only the preprocessor knows
    neighbours=HOSTS,
    user_space=True,
    summary="kernel memory read inside a macro's argument, where BCC does not rewrite it",
    imperative="read kernel memory outside of macro arguments",
    shape="`ntohs(sk->…)`, `min_t(…, t->…)`: BCC does not rewrite a macro's argument, the verifier refuses it",
    safe="split, or `bpf_ntohs` inside an expression; an explicit read where BCC does not follow the pointer",
    advice="a macro's body hides the access",
    cures=(Cure("scalar-deref", _READ_BY_A_MACRO),),
)


def find(unit: Unit) -> Iterator[Fix]:
    yield from own_words(unit)
    found = list(reads(unit))
    # A macro that hides several accesses is one finding.
    hidden = {
        (read.path, read.hiding.start): (read, read.hiding) for read in reversed(found) if read.hiding is not None
    }
    yield from (_hidden(read, macro) for read, macro in hidden.values())
    shown = [read for read in found if read.hiding is None]
    named = local_names([read for read in shown if _obstacle(read) is None])
    yield from (_finding(read, named) for read in shown)


def _hidden(read: Read, macro: Macro) -> Fix:
    message = (
        f"`{macro.name}` reads kernel memory in its body, where BCC does not rewrite it: make it a static "
        "inline function, or read the field first"
    )
    at = Span(macro.path, macro.start, macro.end)
    return Fix(at, message, Safety.ADVICE, reason="the macro's definition serves other places too")


def _finding(read: Read, named: Mapping[Node, bytes]) -> Fix:
    if obstacle := _obstacle(read):
        return _advice(read, *obstacle)
    try:
        made = first_of(*(partial(way, read) for way in (unwrapped, split, partial(hoisted, named=named), function)))
    except NoEdit:
        reason = "the read can be moved in front of no statement without changing its value"
        return _advice(read, "read it into a local first", reason)
    doubt = made.doubt or ("" if read.proof.is_certain else f"it is not certain: {read.proof.doubt}")
    safety = Safety.SUGGESTED if doubt else Safety.SAFE
    return Fix(read.span, _message(read, made.how), safety, made.edits, doubt, read.proof.chains)


def _advice(read: Read, cure: str, reason: str) -> Fix:
    return Fix(read.span, _message(read, cure), Safety.ADVICE, reason=reason)


def _message(read: Read, cure: str) -> str:
    return f"BCC does not rewrite `{one_line(read.text)}` inside `{read.around[0].name}()`, a macro: {cure}"


def _obstacle(read: Read) -> tuple[str, str] | None:
    """What to do by hand, and why, where no edit is right."""
    if read.node.field is not None and read.node.field.is_bitfield:
        return "read the word that holds it", "no address can be taken of a bit-field"
    match read.known:
        case Root.HEADER:
            cure = "compute the pointer from the fields of the structure"
            return cure, "functions of the kernel's headers read kernel memory, and BCC rewrites none of them"
        case Root.KERNEL if root(read.unit, read.through.uncast) is not None:
            return "read it link by link with `bpf_probe_read_kernel`", "BCC does not know the chain's first pointer"
        case Root.KERNEL if read.proof.space is not Space.KERNEL:
            return "read it with `bpf_probe_read_kernel`, or `bpf_probe_read_user`", read.proof.unknown
    return None
