"""Define what a program uses of a kernel struct that its headers only declare, or include the header that does.

What it does: where the members of a struct such as `struct task_group` are used, and the program has no definition of
it, a stub with the members that are used is put behind the includes. Of a struct that a public kernel header defines
(`struct nsproxy`) a BCC program gets the include instead.

Why: some structs stand in the kernel's own sources only (kernel/sched/sched.h, fs/mount.h), so BCC, which compiles with
the kernel's public headers, says "incomplete definition of type 'struct task_group'". A stub is the cure, but one with
a wrong offset loads all the same and silently reads the wrong bytes. A libbpf program without a vmlinux.h has no
struct of the kernel at all: what it reads by BPF_CORE_READ, or gets from tp_btf, is only declared.

Safe for BCC where a public header is missing, and when each member that is used stands at offset 0 in every kernel
since 4.0, as `css` of `struct task_group` does. Safe for libbpf without a vmlinux.h: a stub of a private struct with
`preserve_access_index`, whose offsets the loader finds (CO-RE). It keeps the kernel's name, without a flavour (`___x`),
because a chain in BPF_CORE_READ cannot lead through a struct of another name; what a chain leads to gets its stub too.
Suggested for BCC where other members are used: each is padded to the offset that the BTF at hand has (`--btf`, else the
running kernel's), and an assertion says so. Another kernel needs another padding. Suggested for libbpf where the
project's vmlinux.h lacks the struct, as it does for a module's: another vmlinux.h may have it; and for a public struct
without a vmlinux.h, since a header that is not here may define it.
In BCC `container_of(pointer, struct mount, mnt)` becomes the arithmetic that it is, together with the stub: BCC
rewrites reads through a pointer that it knows and leaves the macro in pieces.
Advice without BTF; where BTF does not have the members, or a member's type is in no header that is known; where the
vmlinux.h is not the project's own; and where a stub that is there already has a member elsewhere than BTF.

BTF is looked for in the file, and if it is called `vmlinux` in the modules' beside it, as in /sys/kernel/btf.

Left alone: programs whose vmlinux.h has these structs; programs that define the struct (in an #if or a header of the
project too) or include one of the kernel's own sources; pointers that are only handed on; structs that the kernel
headers on this machine do define (a note says so).

Limits: knows a struct for private if neither 6.1 nor 6.12 defines it in a public header. Of some thousands it must be
named in the program, and BTF must have the members; only the best known are also seen through a member that points at
them. Which header leads to which is as in kernel 6.1, all #ifs taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.settle import Made, settle
from ebpffix.editing.statements import add_include
from ebpffix.fix import BCC, LIBBPF, Fix
from ebpffix.frontend import Unit
from ebpffix.kernel import headers as kernel_headers
from ebpffix.transform import Transform

from . import stubs
from .definitions import compared, own_definition
from .private_structs import LEADS, names, wanted_names
from .private_uses import Uses, find_uses, is_written
from .public_headers import Missing, is_for_the_kernel, missing_headers

TRANSFORM = Transform(
    name="missing-kernel-struct",
    pattern=7,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"(?:->|,)\s*(?:%s)\b" % "|".join(LEADS).encode(),
        rb"^struct\s+\w+\s*;",  # of a module: declared, since vmlinux.h does not
    ),
    from_errors=True,
    structs=wanted_names,
    summary="struct that the included kernel headers do not define",
    imperative="define the structs that the included headers do not have",
    shape="a struct that no public kernel header defines, or one that is not included",
    safe="a stub whose used members lie at offset 0; a CO-RE stub from BTF; the include",
    suggested="a padded stub for BCC",
    advice="no BTF",
)


def find(unit: Unit) -> Iterator[Fix]:
    if _includes_sources(unit):
        return
    for name, uses in find_uses(unit).items():
        own = own_definition(unit, name)
        if own is not None:
            yield from compared(unit, name, uses, own)
        elif is_written(unit, name):
            continue  # an #if leaves the definition out
        elif unit.dialect == LIBBPF:
            yield from _co_re(unit, name, uses)
        elif header := kernel_headers.definer(name):
            unit.notes.append(f"`struct {name}` is left alone: {header} defines it")
        else:
            yield from _for_bcc(unit, name, uses)
    if unit.dialect == BCC:
        for missing in missing_headers(unit):
            if not is_written(unit, missing.struct):
                yield _included(unit, missing)


_SOURCES = re.compile(
    rb'^[ \t]*#[ \t]*include[ \t]*[<"]'
    rb'((?:\.\./)*(?:arch|block|drivers|fs|ipc|kernel|mm|net|security|virt)/[^>"\n]+)[>"]',
    re.MULTILINE,
)


def _includes_sources(unit: Unit) -> bool:
    """Whether the program includes a header out of the kernel's sources, which only who has these can read."""
    return any(
        not (path.parent / m[1].decode("latin-1")).exists() and (m[1][:3] == b"../" or m[1][:4] != b"net/")
        for path, source in unit.sources.items()
        for m in _SOURCES.finditer(source.uncommented)
    )


def _included(unit: Unit, missing: Missing) -> Fix:
    what = (
        f"no header that the program includes defines `struct {missing.struct}`, so BCC cannot compile the use of "
        f"`{missing.member}`; {missing.header} does"
    )
    return settle(missing.at, what, lambda: Made(add_include(unit, missing.at.path, missing.header.encode())))


def _for_bcc(unit: Unit, name: str, uses: Uses) -> Iterator[Fix]:
    what = f"`struct {name}` is in no public kernel header, so BCC cannot compile the use of `{uses.paths[0]}`"

    def made() -> Made:
        return stubs.at_offset_zero(unit, name, uses) or stubs.padded(unit, name, uses)

    try:
        yield settle(uses.of[0].at, what, made, "; define it with the offsets of the kernel in use")
    except stubs.Stranger:
        return


def _co_re(unit: Unit, name: str, uses: Uses) -> Iterator[Fix]:
    vmlinux = stubs.vmlinux_of(unit)
    if vmlinux is not None:
        what, cure = f"`struct {name}` is not in vmlinux.h", "; take one from a kernel that has it"
    elif name.encode() in names():
        what, cure = f"`struct {name}` is in no public kernel header, and the program has no vmlinux.h", "; include one"
    elif is_for_the_kernel(unit):
        return  # whose headers may define it
    else:
        what, cure = f"`struct {name}` is only declared, and the program has no vmlinux.h", "; include one"
    try:
        yield settle(uses.of[0].at, what, lambda: stubs.relocated(unit, name, uses, vmlinux), cure)
    except stubs.Stranger:
        return
