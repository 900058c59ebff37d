"""Define maps in the form that libbpf 1.0 takes.

What it does: `struct bpf_map_def SEC("maps") m = { … };` becomes a structure in `SEC(".maps")`, which says of what type
the map, its key and its value are. iproute2's `struct bpf_elf_map` likewise. Order, comments and macros stay.

Why: libbpf 1.0 opens no object with the old form ("legacy map definitions in 'maps' section are not supported by
libbpf v1.0+"). With types bpftool prints what is in a map, skeletons know it, and spin locks, timers and storage maps
are possible at all.

Since: libbpf 0.0.4 (that of Linux 5.3), cilium/ebpf, libbpf-rs, aya; any kernel, as libbpf leaves out what an old one
does not know; clang 10, with `-g`, for the form is in the object's BTF. iproute2 (`tc`, `ip`) from 5.12 on, if it was
built with libbpf. The loader finds the map by its name as before, but no more by its section (`SEC("maps/flows")`).
What loads objects by itself (`bpf_load.c` of the kernel's old samples, gobpf) does not know the new form: where it
stands next to the program the message says so.

Suggested, always: the map is the same (`--verify` compares it), but the loader must know the form.
`__type(key, T)` is written for `sizeof(T)`, for the types that BPF_ANNOTATE_KV_PAIR states (it goes), and for a number
where all uses of the map in the file have one type of that size; where key or value has none, both stay
`__uint(key_size, …)` as before. Maps of programs, perf events, devices, sockets and the like take no types, an array's
key must be an integer of 32 bits, a trie's a structure. `pinning = PIN_GLOBAL_NS` becomes LIBBPF_PIN_BY_NAME,
`inner_id` and `inner_idx` become the type and the values of the outer map. Pointers to the old structure that hold a
map's address become `void *`. A program whose headers have no `__uint` gets it.

Advice where it cannot be written anew in its place: a macro of the project makes the definition (once a macro), an #if
stands in it, a member has no counterpart (a namespace, a pinning by another rule), a program's section gives it a place
in a map (`1/0`), the program reads a member of the map.

Left alone: a map that the file defines in both forms under an #if, declarations (`extern`), other sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Transform

from .definition import Definition, is_legacy, read, section_of
from .inner import is_of_maps, nested, outer_of
from .pointers import freed
from .rewrite import rewritten

TRANSFORM = Transform(
    name="legacy-map",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"bpf_map_def\b", rb"bpf_elf_map\b", rb"section_maps\b", rb"\.\s*(?:map_)?type\s*=\s*BPF_MAP_TYPE_"),
    summary="map defined in the form that libbpf 1.0 refuses",
    imperative="define maps in BTF",
    neighbours=(".c", ".cc", ".cpp", ".h", ".go"),
    shape='`struct bpf_map_def SEC("maps")`, `struct bpf_elf_map`: libbpf 1.0 refuses them',
    suggested='the same map in `SEC(".maps")`',
    advice="a macro makes it; a member has no counterpart",
)

_MAPS = re.compile(rb'"maps(?:/[^"]*)?"')
_NEEDS = "the object must be compiled with -g, and its loader must know the form: libbpf does from 0.0.4 on"
# Loaders that read the section "maps" by themselves.
_OWN_LOADER = re.compile(rb'\bload_bpf_file(?:_\w+)?\s*\(|"github\.com/iovisor/gobpf/elf"')
_GONE_CALL = re.compile(rb"\bbpf_map__def\s*\(")
_TAIL_SECTION = re.compile(rb"(\d+)/\d+")


def find(unit: Unit) -> Iterator[Fix]:
    macros: set[str] = set()
    definitions: list[Definition] = []
    for variable in unit.declarations:
        if not is_legacy(variable):
            continue
        if macro := _macro(unit, variable):
            if macro not in macros and not _makes_both(unit, macro):
                macros.add(macro)
                message = f"`{macro}` defines a map in the form that libbpf 1.0 refuses: let it make one in `.maps`"
                yield Fix(variable, message, Safety.ADVICE, reason="the macro's definition serves other places too")
            continue
        if not _is_a_map(variable) or _has_both(unit, variable):
            continue
        try:
            definitions.append(read(unit, variable))
        except NoEdit as reason:
            yield _advice(variable, str(reason))
    for one in definitions:
        yield _fix(unit, one, definitions)


def _is_a_map(variable: Node) -> bool:
    """Whether the section of a variable is that of the old maps, as far as its name shows."""
    section = section_of(variable)
    return _MAPS.search(section) is not None or (b'"' not in section and b"maps" in section.lower())


def _macro(unit: Unit, variable: Node) -> str:
    """The macro of the project that makes the whole definition, or its head: `MAP(m) = { … }`."""
    first = next(iter(unit.macros_around(variable.path, variable.start, variable.start + 1)), None)
    head = variable.text.partition(b"=")[0]
    is_made = first is not None and (first.end >= variable.end or b"struct" not in head)
    return first.name if first is not None and is_made else ""


def _makes_both(unit: Unit, macro: str) -> bool:
    """Whether an #if of the project lets a macro make the new form instead."""
    define = re.compile(rb"[ \t]*#[ \t]*define[ \t]+%s\b" % macro.encode())
    bodies = (
        source.uncommented[start:end]
        for path, source in unit.sources.items()
        for start, end in unit.directives(path)
        if define.match(source.uncommented, start)
    )
    return any(b".maps" in body or b"__uint" in body for body in bodies)


def _has_both(unit: Unit, variable: Node) -> bool:
    """Whether the file has a map of that name in the new form as well."""
    text = unit.sources[variable.path].uncommented
    return re.search(rb'\b%s\s+\w+\s*\(+\s*"\.maps"' % variable.name.encode(), text) is not None


def _what(name: str) -> str:
    return f"`{name}` is defined in the form that libbpf 1.0 refuses"


def _advice(variable: Node, reason: str) -> Fix:
    return Fix(variable, _what(variable.name) + ": define it in `.maps` by hand", Safety.ADVICE, reason=reason)


def _fix(unit: Unit, one: Definition, others: list[Definition]) -> Fix:
    def made() -> Made:
        edits = _edits(unit, one, others)
        return Made([*edits, *freed(unit, one.variable)], _user_space(unit, one), _NEEDS)

    at = one.variable
    return settle(at, _what(one.name), made, ": define it in `.maps` by hand")


def _edits(unit: Unit, one: Definition, others: list[Definition]) -> list[Edit]:
    if any(n.kind == "VAR_DECL" and n.name == one.name and n.is_extern for n in unit.declarations):
        raise NoEdit("it is declared `extern` as well")
    number = one.constant("id")
    tails = (_TAIL_SECTION.fullmatch(unit.program_section(f)) for f in unit.functions)
    if number and any(m is not None and int(m[1]) == number for m in tails):
        raise NoEdit(
            f"programs in sections `{number}/…` are put into it by iproute2: list them in `__array(values, …)`"
        )
    outer = outer_of(one, others)
    if outer is not None:
        return nested(outer, others)
    return nested(one, others) if is_of_maps(one) else rewritten(one)


def _user_space(unit: Unit, one: Definition) -> str:
    """What user space has to change, as far as it stands next to the program."""
    said = ": define it in `.maps`, by BTF"
    if one.label not in ("", one.name):
        said += f"; a loader that knows it by its section, as `{one.label}`, must ask for `{one.name}`"
    if place := unit.place_beside(_OWN_LOADER, ".c", ".cc", ".cpp", ".h", ".go"):
        said += f"; {place} loads it by itself and does not know that form: load it with libbpf"
    if place := unit.place_beside(_GONE_CALL, ".c", ".cc", ".cpp"):
        said += f"; libbpf 1.0 has no bpf_map__def ({place}): ask bpf_map__max_entries and its like"
    return said
