"""Reports to post, and the diff of the pull request that they are of."""

from __future__ import annotations

import json
from typing import Any

HEAD = "a" * 40
PATH = "src/prog.bpf.c"

# Lines 1 to 4 and 18 to 22 of the new side; line 20 is new, the others were there before.
PATCH = """\
@@ -1,3 +1,4 @@
 int one;
+int two;
 int three;
 int four;
@@ -17,4 +18,5 @@ int f(void)
 {
 \tint a;
+\tmemcpy(a, b, 4);
 \tint c;
 }"""


def hunk(start: int, old: list[str], new: list[str], path: str = PATH) -> dict[str, Any]:
    return {"path": path, "start_line": start, "end_line": start + len(old) - 1, "old": old, "new": new}


def finding(number: int = 1, line: int = 20, **other: Any) -> dict[str, Any]:
    return {
        "transform": "builtin-memcpy",
        "path": PATH,
        "line": line,
        "column": 2,
        "end_line": line,
        "end_column": 9,
        "message": "there is no libc in BPF: `memcpy` is only what the compiler makes of it",
        "safety": "safe",
        "reason": "",
        "fingerprint": f"{number:032x}",
        "source": [],
        "edits": [],
        "hunks": [hunk(20, ["\tmemcpy(a, b, 4);\n"], ["\t__builtin_memcpy(a, b, 4);\n"])],
        "proof": None,
        **other,
    }


def report(*findings: dict[str, Any], **other: Any) -> dict[str, Any]:
    tool = {"name": "ebpffix", "version": "0"}
    said = {"tool": tool, "head_sha": HEAD, "files": [], "findings": list(findings), "summary": {}}
    return {"version": 1, **said, **other}


def data(*findings: dict[str, Any], **other: Any) -> bytes:
    return json.dumps(report(*findings, **other)).encode()
