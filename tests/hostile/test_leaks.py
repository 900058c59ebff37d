"""What other files hold is not told: not in notes, findings, reports, diffs, the cache."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .support import MARKER, Attack

PROGRAM = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct key { int a; char b; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 10); __type(key, struct key); __type(value, int); }
m SEC(".maps");
@TOP@
SEC("xdp") int prog(void *ctx)
{
    struct key k = { .a = 1 };
    k.
@INSIDE@
    ;
    int *v = bpf_map_lookup_elem(&m, &k);
    return v ? *v : 0;
}
char LICENSE[] SEC("license") = "GPL";
"""

# Each reads the file @F@ where it would be quoted by a message of the compiler.
WAYS = {
    "plain": ("", '#include "@F@"'),
    "macro": ('#define H "@F@"', "#include H"),
    "angled-macro": ("#define H <@F@>", "#include H"),
    "comment-before": ("", '/**/#include "@F@"'),
    "comment-inside": ("", '#/**/include/**/"@F@"'),
    "digraph": ("", '%:include "@F@"'),
    "trigraph-free-splice": ("", '#inc\\\nlude "@F@"'),
    "import": ("", '#import "@F@"'),
    "include-next": ("", '#include_next "@F@"'),
    "through-a-system-folder": ("", "#include <linux/../../..@F@>"),
    "asked-first": ('#if __has_include("@F@")\n#define H "@F@"\n#endif', "#include H"),
    "another-name": ('# 1 "/usr/include/linux/bpf.h" 1 3', '#include "@F@"'),
    "embed": ("", '#embed "@F@"'),
    "pragma": ('_Pragma("GCC dependency \\"@F@\\" stale")', ""),
    "assembler": ('asm(".incbin \\"@F@\\"");', ""),
}
# These read nothing as they are analysed: seen without the compiler and blanked, or of no effect there.
HARMLESS = ("plain", "another-name", "embed", "pragma", "assembler")
FORMATS = ("text", "json", "sarif", "github", "gitlab", "rdjson", "html")


def program(way: str, file: Path | str) -> str:
    top, inside = WAYS[way]
    return PROGRAM.replace("@TOP@", top).replace("@INSIDE@", inside).replace("@F@", str(file))


@pytest.mark.parametrize("way", WAYS)
def test_a_file_outside_of_the_project_is_not_quoted(attack: Attack, tmp_path: Path, way: str) -> None:
    secret = tmp_path / "credentials"
    secret.write_text(f"{MARKER} = {MARKER}\n")
    done = attack.write({"prog.bpf.c": program(way, secret), "fine.bpf.c": program("plain", "/dev/null")}).run("--diff")
    assert not done.holds()
    assert done.code in (0, 1, 2) and "Traceback" not in done.err
    if way not in HARMLESS:
        assert done.code == 2 and f"it includes {secret}" in done.err.replace("/usr/include/linux/../../..", "")


@pytest.mark.parametrize("form", FORMATS)
def test_no_report_holds_it(attack: Attack, tmp_path: Path, form: str) -> None:
    secret = tmp_path / "credentials"
    secret.write_text(f"{MARKER} = {MARKER}\n")
    report = attack.home / "report"
    done = attack.write({"prog.bpf.c": program("macro", secret)}).run("--output-format", form, "--output-file", report)
    assert not done.holds() and done.code == 2


def test_gits_own_files_and_hidden_ones_are_none_of_the_projects(attack: Attack) -> None:
    names = (".git/config", "sub/../.git/config", ".npmrc")
    attack.write({".git/config": f"{MARKER} = 1\n", ".npmrc": f"{MARKER} = 1\n", "sub/x.h": ""})
    for number, name in enumerate(names):
        attack.write({f"prog{number}.bpf.c": program("macro", name)})
    done = attack.run()
    assert not done.holds() and done.code == 2
    assert done.err.count("which is not the project's") == len(names)


def test_a_link_out_of_the_tree_is_not_followed_and_settings_of_the_tree_do_not_widen_it(
    attack: Attack, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    secret = tmp_path / "outside" / "credentials.h"
    secret.write_text(f"{MARKER} = {MARKER}\n")
    subprocess.run(["git", "init", "-q"], cwd=attack.tree, check=True)
    (attack.tree / "link.h").symlink_to(secret)
    (attack.tree / "folder").symlink_to(tmp_path / "outside")
    attack.write(
        {
            "ebpffix.toml": f'include = ["{tmp_path}/outside"]\n',
            "compile_commands.json": f"""[{{"directory": ".", "file": "c.bpf.c",
                "arguments": ["cc", "-include", "{secret}", "c.bpf.c"]}}]""",
            "a.bpf.c": program("macro", "link.h"),
            "b.bpf.c": program("macro", "credentials.h"),
            "c.bpf.c": program("plain", "/dev/null"),
            "d.bpf.c": program("plain", "folder/credentials.h"),
        }
    )
    done = attack.run()
    assert not done.holds() and "lies outside of the project" in done.err
    (attack.tree / "ebpffix.toml").unlink()  # with which nothing is analysed at all
    done = attack.run()
    assert not done.holds()
    assert f"a.bpf.c: failed: it includes {attack.tree}/link.h, which is not the project's" in done.err


def test_a_kernel_header_of_the_tree_that_leads_elsewhere_is_not_told(attack: Attack, tmp_path: Path) -> None:
    secret = tmp_path / "credentials"
    secret.write_text(f"struct {MARKER} {{ int a; }} {MARKER} {MARKER};\n" + "\n" * 600_000)
    for name, text in (("a", f'#include "{secret}"\n'), ("b", f"{secret}\n")):
        source = '#include "vmlinux.h"\n' + program("plain", "/dev/null")
        attack.write({f"{name}/vmlinux.h": text, f"{name}/x.bpf.c": source, f"{name}/y.bpf.c": source})
        attack.write({f"{name}/z.bpf.c": source})
    done = attack.run()
    assert not done.holds()


def test_a_name_that_only_a_header_of_the_user_s_has_is_not_told(attack: Attack, tmp_path: Path) -> None:
    """It may be read, but a message about the program goes to whoever wrote the program."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "keys.h").write_text(f"goto {MARKER};\n")
    attack.write({"prog.bpf.c": program("macro", "keys.h").replace("    k.\n", "")})
    done = attack.run("-I", tmp_path / "given")
    assert not done.holds() and "use of undeclared label '…'" in done.err, done.err


def test_headers_of_the_project_the_system_and_the_user_are_read(attack: Attack, tmp_path: Path) -> None:
    """What must not fail: the same words in places where they may be."""
    (tmp_path / "given" / "real").mkdir(parents=True)
    (tmp_path / "given" / "real" / "own.h").write_text("struct theirs { int a; };\n")
    (tmp_path / "given" / "own.h").symlink_to("real/own.h")
    body = program("plain", "/dev/null").replace("    k.\n", "").replace('#include "/dev/null"', "")
    subprocess.run(["git", "init", "-q"], cwd=attack.tree, check=True)
    attack.write(
        {
            "deep/inc/h.h": "struct ours { int a; };\n",
            ".output/gen.h": "struct made { int a; };\n",
            "deep/src/a.bpf.c": '#include "../inc/h.h"\n#include "../../.output/gen.h"\n' + body,
            "b.bpf.c": '#include <stddef.h>\n#include <linux/if_ether.h>\n#include "own.h"\n' + body,
        }
    )
    done = attack.run("-I", tmp_path / "given")
    assert done.code == 1 and "not the project's" not in done.err, done.err
