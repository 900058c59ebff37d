"""Trees as people clone them: headers by other names, links in words, the kernel's own types, other projects' files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support import ebpffix

from ebpffix.kernel import machine
from ebpffix.sources.includes import Closure, Tree
from ebpffix.sources.source import Source

COPIES = "int f(void *p) { memcpy(p, p, 1); return 0; }\n"
LICENSE = 'char _license[] SEC("license") = "GPL";\n'


def tree(root: Path, **files: str) -> Path:
    (root / ".git").mkdir(parents=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def closure(root: Path, program: str) -> Closure:
    return Tree(root).closure(Source.read(root / program))


def report(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ebpffix("--output-format", "json", ".", cwd=root).out)
    return {file["path"]: file for file in found["files"]} | {"findings": found["findings"]}


def test_libbpfs_headers_by_their_bare_names(tmp_path: Path) -> None:
    text = (
        '#include "bpf_helpers.h"\n#include <bpf_endian.h>\nint f(void *p) { return bpf_ntohs(1) + memcpy(p, p, 1); }\n'
    )
    root = tree(tmp_path, **{"a.bpf.c": text + LICENSE})
    assert report(root)["a.bpf.c"]["status"] == "analysed"
    # A file of the tree comes first, whatever the brackets are.
    root = tree(tmp_path / "own", **{"k/a.bpf.c": "#include <bpf_helpers.h>\n", "bpf_helpers.h": "#define SEC(x)\n"})
    assert closure(root, "k/a.bpf.c").files == [root / "bpf_helpers.h"]


def test_a_header_of_the_c_library_is_not_another_projects(tmp_path: Path) -> None:
    files = {"one/a.bpf.c": '#include "time.h"\n', "other/lib/time.h": "int x;\n"}
    assert not closure(tree(tmp_path / "far", **files), "one/a.bpf.c").files
    near = tree(tmp_path / "near", **{"one/a.bpf.c": '#include "time.h"\n', "one/lib/time.h": "int x;\n"})
    assert closure(near, "one/a.bpf.c").files == [near / "one/lib/time.h"]


def test_a_link_that_git_wrote_as_text(tmp_path: Path) -> None:
    files = {
        "a.bpf.c": '#include "vmlinux.h"\n',
        "x/vmlinux.h": "vmlinux_601.h",
        "x/vmlinux_601.h": "struct t { int a; };\n",
    }
    found = closure(tree(tmp_path / "link", **files), "a.bpf.c")
    assert found.links == {tmp_path / "link/x/vmlinux.h": b'#include "vmlinux_601.h"\n'}
    assert found.vmlinux == tmp_path / "link/x/vmlinux_601.h"
    broken = tree(tmp_path / "broken", **{"a.bpf.c": '#include "vmlinux.h"\n', "x/vmlinux.h": "nowhere.h"})
    assert not closure(broken, "a.bpf.c").links
    out = tree(tmp_path / "out", **{"a.bpf.c": '#include "v.h"\n', "v.h": "../link/x/vmlinux_601.h"})
    assert not closure(out, "a.bpf.c").links


def test_the_nearest_kernel_types_are_the_programs(tmp_path: Path) -> None:
    here = machine.here()
    assert here
    files = dict.fromkeys(("one/include/vmlinux.h", f"two/{here.target}/vmlinux.h"), "struct t;\n")
    root = tree(tmp_path / "a", **files, **{"one/bpf/a.bpf.c": '#include "vmlinux.h"\n'})
    assert closure(root, "one/bpf/a.bpf.c").vmlinux == root / "one/include/vmlinux.h"
    files = dict.fromkeys(("v/arm64/vmlinux.h", "v/x86/vmlinux.h", "v/riscv/vmlinux.h"), "struct t;\n")
    root = tree(tmp_path / "b", **files, **{"bpf/a.bpf.c": '#include "vmlinux.h"\n'})
    assert closure(root, "bpf/a.bpf.c").vmlinux == root / "v" / here.target / "vmlinux.h"


def test_a_program_with_the_kernels_own_headers_has_the_kernels_types(tmp_path: Path) -> None:
    text = (
        "#include <linux/version.h>\n#include <linux/skbuff.h>\n#include <uapi/linux/bpf.h>\n#include <bpf_helpers.h>\n"
        'SEC("kprobe/f")\nint f(struct pt_regs *ctx)\n{\n\tstruct sk_buff *skb = (void *)ctx->di;\n\tint len;\n\n'
        "\tbpf_probe_read(&len, sizeof(len), &skb->len);\n\treturn len;\n}\n"
    )
    root = tree(tmp_path / "kernel", **{"a_kern.c": text + LICENSE})
    assert report(root)["a_kern.c"]["status"] == "analysed"
    assert closure(root, "a_kern.c").wants_kernel_types
    user = tree(tmp_path / "uapi", **{"a.bpf.c": "#include <linux/bpf.h>\n#include <linux/if_ether.h>\n"})
    assert not closure(user, "a.bpf.c").wants_kernel_types


def test_a_copy_of_the_kernels_bpf_h(tmp_path: Path) -> None:
    guard = "_UAPI__LINUX_BPF_H__"
    copy = f"#ifndef {guard}\n#define {guard}\nenum bpf_map_type {{ BPF_MAP_TYPE_HASH = 1 }};\n#endif\n"
    text = '#include <linux/bpf.h>\n#include "own/bpf.h"\n#include <bpf/bpf_helpers.h>\n' + COPIES
    root = tree(tmp_path, **{"a.bpf.c": text + LICENSE, "own/bpf.h": copy})
    assert report(root)["a.bpf.c"]["status"] == "analysed"


def test_a_word_of_the_host_alone_on_a_line(tmp_path: Path) -> None:
    text = (
        "BPF_HASH(counts, u32, u64);\nint f(struct pt_regs *ctx)\n{\n\tu32 pid = 1;\n\t##FILTER##\n"
        "\tu64 *n = counts.lookup(&pid);\n\tif (n)\n\t\tcounts.update(&pid, n);\n\treturn 0;\n}\n"
    )
    assert report(tree(tmp_path, **{"a.c": text}))["a.c"]["status"] == "analysed"


def test_notes_on_a_host_name_its_lines(tmp_path: Path) -> None:
    text = '# a\n# b\nprogram = """\n#include <linux/ptrace.h>\nstruct a { int x char y; };\n%s"""\n'
    probe = 'int kprobe__f(struct pt_regs *ctx)\n{\n\tchar b[4];\n\tbpf_probe_read(b, 4, "");\n\treturn 0;\n}\n'
    (tmp_path / "host.py").write_text(text % probe)
    said = ebpffix("--no-cache", "host.py", cwd=tmp_path).err
    assert "host.py: partial: line 5: expected ';' at end of declaration list: not understood\n" in said
