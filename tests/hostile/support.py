"""A tree that an attacker wrote, the real command over it, and what must not be found anywhere afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# What stands for a secret. In halves, so that no search for it finds this file.
MARKER = "ma3" + "rk8er"

# A program with one finding, padded-init.
FINE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct key { int a; char b; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 10); __type(key, struct key); __type(value, int); }
m SEC(".maps");
SEC("xdp") int prog(void *ctx)
{
    struct key k = { .a = 1 };
    int *v = bpf_map_lookup_elem(&m, &k);
    return v ? *v : 0;
}
char LICENSE[] SEC("license") = "GPL";
"""


@dataclass(frozen=True)
class Done:
    """How a run ended: exit code, what it printed, the seconds that it took, and the folder of its own files."""

    code: int
    out: str
    err: str
    seconds: float
    home: Path

    def holds(self, text: str = MARKER) -> list[str]:
        """Where `text` is found: in the output, in any file that the run wrote (the cache among them), in a name."""
        wanted = text.encode()
        found = [name for name, said in (("stdout", self.out), ("stderr", self.err)) if text in said]
        for path in sorted(self.home.rglob("*")):
            if text in path.name or (path.is_file() and not path.is_symlink() and wanted in path.read_bytes()):
                found.append(str(path))
        return found


@dataclass(frozen=True)
class Attack:
    """`tree` is what the attacker wrote, `home` where the run keeps its own: cache, temporary files, reports."""

    tree: Path
    home: Path

    @classmethod
    def below(cls, folder: Path) -> Attack:
        attack = cls(folder / "tree", folder / "home")
        for made in (attack.tree, attack.home / "tmp"):
            made.mkdir(parents=True)
        return attack

    def write(self, files: Mapping[str, str | bytes]) -> Attack:
        """Put files into the tree, by their names in it."""
        for name, text in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return self

    @property
    def environment(self) -> dict[str, str]:
        ours = ("EBPFFIX_", "PYTHON", "GIT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**kept, "EBPFFIX_CACHE_DIR": str(self.home / "cache"), "TMPDIR": str(self.home / "tmp")}

    def start(self, *args: str | Path, first: str = "") -> subprocess.Popen[str]:
        """The real command in the tree; the caller waits for it. `first` is Python that runs before it: to try with
        limits that are soon met."""
        code = f"{first}\nfrom ebpffix.app.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-Ic", code, *map(str, args)],
            cwd=self.tree,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    def run(self, *args: str | Path, first: str = "", timeout: float = 120) -> Done:
        """The real command in the tree, to its end."""
        began = time.monotonic()
        with self.start(*args, first=first) as running:
            try:
                out, err = running.communicate(timeout=timeout)
            except BaseException:
                running.kill()
                raise
        return Done(running.returncode, out, err, time.monotonic() - began, self.home)
