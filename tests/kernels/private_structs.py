"""Make `ebpffix/private_structs.txt`: the structs of the kernel that its public headers do not define.

    python tests/kernels/private_structs.py HEADERS… -- BTF[,MODULES]…  > ebpffix/private_structs.txt

HEADERS are folders as distributions install them (of linux-headers packages: include/, arch/x86/include/), BTF a
kernel's own (raw or ELF), MODULES the folder of its modules. A name is taken if every kernel has exactly one struct of
it, no header defines it, and where a header mentions it, then only as `struct name`: what stands there bare may be the
argument of a macro that defines it. Names made of one word are left out, since programs have structs of such names
too; so are those that the macros of tracepoints make.

The file in use was made of the headers and the BTF of Debian's 6.1.0-56 and 6.12.117 for amd64, with those modules of
fs/, net/, block/, arch/x86/kvm/, virt/ and drivers/{block,md,nvme,vhost,net}/ that are not for rare file systems,
protocols or network cards.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from ebpffix.kernel.btf import STRUCT, load

_COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)
_DEFINED = re.compile(rb"\bstruct\s+(?:__\w+\s+)*(\w+)\s*(?:__\w+\s*(?:\(\(?[^{;]*\))?\s*)*\{")
_BARE = re.compile(rb"(?<!struct )\b[a-z]\w*_\w*")
_MADE = re.compile(r"trace_event_|trace_raw_|btf_trace_|bpf_ctx_|syscall_")


def public(folders: list[Path]) -> set[str]:
    """The names that headers define, or may define by a macro."""
    found: set[bytes] = set()
    for path in (p for folder in folders for p in folder.rglob("*.h")):
        text = re.sub(rb"\s+", b" ", _COMMENT.sub(b" ", path.read_bytes()))
        found.update(_DEFINED.findall(text), _BARE.findall(text))
    return {name.decode() for name in found}


def structs(paths: list[Path]) -> Counter[str]:
    """How many structs of each name a kernel has; `paths` are its BTF and a folder of its modules."""
    base, *folders = paths
    modules = [module for folder in folders for module in folder.rglob("*.ko")]
    known = load(base)
    count = Counter(known.name(n) for n, kind in enumerate(known.kinds) if kind == STRUCT)
    for module in modules:
        types = load(module, known)
        own = range(types.first_id, len(types))
        count.update(types.name(n) for n in own if types.kinds[n] == STRUCT)
    return count


def main(arguments: list[str]) -> None:
    border = arguments.index("--")
    headers = public([Path(a) for a in arguments[:border]])
    kernels = [structs([Path(p) for p in a.split(",")]) for a in arguments[border + 1 :]]
    names = set.intersection(*({name for name, n in kernel.items() if n == 1} for kernel in kernels))
    taken = (n for n in names - headers if n.isidentifier() and "_" in n.strip("_") and not _MADE.match(n))
    print(*sorted(taken), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
