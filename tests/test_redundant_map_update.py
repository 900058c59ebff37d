"""What fixtures cannot say of redundant-map-update: messages, reasons, places, and odd shapes as short texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import FIXTURES, UNSAFE, findings, fixed

from ebpffix.fix import BCC, Fix, Safety
from ebpffix.verify.compile import Object
from ebpffix.verify.load import test_run as run_once

NAME = "redundant-map-update"
HEAD = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct val { __u64 n; __u32 a[4]; struct val *self; };
struct name { __u32 id; __u32 part[2]; };
#define MAP(name, map_type, key_type) \\
    struct { __uint(type, map_type); __uint(max_entries, 8); __type(key, key_type); __type(value, struct val); } \\
        name SEC(".maps")
MAP(m, BPF_MAP_TYPE_ARRAY, __u32);
MAP(keyed, BPF_MAP_TYPE_HASH, struct name);
static const __u32 zero = 0;
__u32 global_key;
"""


def found(body: str, before: str = "") -> list[Fix]:
    text = HEAD + before + 'SEC("xdp") int p(struct xdp_md *ctx)\n{\n' + body + "\n\treturn 0;\n}\n"
    return findings(text.encode(), NAME)


def said(body: str, before: str = "") -> list[str]:
    return [str(fix.safety) for fix in found(body, before)]


LOOKUP = "__u32 k = 0; struct val *v = bpf_map_lookup_elem(&m, &k); if (!v) return 0; v->n++;\n"
UPDATE = "bpf_map_update_elem(&m, &k, v, BPF_ANY);\n"


@pytest.mark.parametrize(
    "body",
    [
        LOOKUP + "bpf_map_update_elem(&m, &k, v, BPF_NOEXIST);",
        LOOKUP + "bpf_map_update_elem(&m, &k, v, 4);",  # BPF_F_LOCK
        LOOKUP + "__u64 flags = ctx->rx_queue_index; bpf_map_update_elem(&m, &k, v, flags);",
        LOOKUP + "int e = bpf_map_update_elem(&m, &k, v, BPF_ANY); if (e) return 1;",
        LOOKUP + "k++;" + UPDATE,
        LOOKUP + "__u32 *p = &k; *p = 3;" + UPDATE,
        LOOKUP + "bpf_probe_read_kernel(&k, sizeof(k), ctx);" + UPDATE,
        LOOKUP + 'asm volatile("" : "+r"(k));' + UPDATE,
        LOOKUP + "({ k = 2; });" + UPDATE,
        LOOKUP + "v = v->self;" + UPDATE,
        LOOKUP + "v++;" + UPDATE,
        LOOKUP + "struct val **p = &v; *p = 0; if (!v) return 0;" + UPDATE,
        LOOKUP + "bpf_map_update_elem(&m, &k, v->self, BPF_ANY);",
        LOOKUP + "bpf_map_update_elem(&m, &k, v + 1, BPF_ANY);",
        LOOKUP + "bpf_map_delete_elem(&m, &k);" + UPDATE,
        LOOKUP + "while (ctx->rx_queue_index) { " + UPDATE + "}",
        LOOKUP + "again: " + UPDATE + "if (v->n < 4) goto again;",
        LOOKUP + UPDATE + "v->a[1] = 2;",
        LOOKUP + UPDATE + "__builtin_memset(v, 0, sizeof(*v));",
        LOOKUP + UPDATE + "__sync_fetch_and_add(&v->n, 1);",
        LOOKUP + UPDATE + "struct val *w = v; w->n = 1;",
        LOOKUP + "__u32 *a = v->a;" + UPDATE + "a[1] = 2;",
        LOOKUP + "struct { struct val *v; } keep = { v };" + UPDATE + "keep.v->n = 1;",
        LOOKUP + "while (v->n) { if (v->n > 1) { v->n--; } else { bpf_map_update_elem(&m, &k, v, BPF_ANY); } }",
        "struct val *v = bpf_map_lookup_elem(&m, &global_key); if (!v) return 0;"
        "bpf_map_update_elem(&m, &global_key, v, BPF_ANY);",
        "__u32 k = 0; struct val *v; if (ctx->rx_queue_index) v = bpf_map_lookup_elem(&m, &k);"
        "if (!v) return 0;" + UPDATE,
        "__u32 k = 0; struct val *w, *v = w = bpf_map_lookup_elem(&m, &k); if (!v) return 0;" + UPDATE,
        "__u32 k = 0; struct val *v; int ok = ctx->rx_queue_index && (v = bpf_map_lookup_elem(&m, &k));"
        "if (!v) return 0;" + UPDATE,
        "__u32 k[2] = {}; int i = 0; struct val *v = bpf_map_lookup_elem(&m, &k[i]); if (!v) return 0; i++;"
        "bpf_map_update_elem(&m, &k[i], v, BPF_ANY);",
        LOOKUP + "void *t = &&out; goto *t; out: k = 0;" + UPDATE,
        LOOKUP + "#define EACH for (; v->n < 3; )\nEACH v->n++;\n" + UPDATE,
        LOOKUP + "if (v->n) bpf_map_update_elem(&keyed, &k, v, BPF_ANY);",
        "__u32 z = 0, *k = &z; struct val *v = bpf_map_lookup_elem(&m, k); if (!v) return 0;" + UPDATE,
        LOOKUP + "unknown_function();" + UPDATE,
    ],
)
def test_leaves_alone(body: str) -> None:
    assert said(body, "void unknown_function(void);\n") == []


@pytest.mark.parametrize(
    "body",
    [
        LOOKUP + UPDATE,
        LOOKUP + "bpf_map_update_elem(&m, &k, v, BPF_EXIST);",
        LOOKUP + "bpf_map_update_elem(&m, &k, v, 0);",
        LOOKUP + "#define FLAGS BPF_ANY\nbpf_map_update_elem(&m, &k, v, FLAGS);",
        LOOKUP + "(void)bpf_map_update_elem(&m, (void *)&k, (void *)v, BPF_ANY);",
        LOOKUP + "__u32 other = k; other++;" + UPDATE,
        LOOKUP + "bpf_probe_read_kernel(&v->n, sizeof(k), &k);" + UPDATE,
        LOOKUP + "bpf_map_lookup_elem(&m, &k);" + UPDATE,
        LOOKUP + "struct name x = {}; bpf_map_delete_elem(&keyed, &x);" + UPDATE,
        LOOKUP + "if (k) { bpf_map_delete_elem(&m, &k); return 0; }" + UPDATE,
        LOOKUP + "if (k) { k = 3; return 0; }" + UPDATE,
        LOOKUP + UPDATE + "if (v->n > 4) return 1;",
        LOOKUP + UPDATE + "k = v->a[2];",
        LOOKUP + "do { v->n--; } while (v->n);" + UPDATE,
        LOOKUP + "#define STEP do { v->n--; } while (0)\nSTEP;\n" + UPDATE,
        LOOKUP + UPDATE + "v = 0; v = bpf_map_lookup_elem(&m, &k); if (v) v->n++;",
        LOOKUP + "touch(v);" + UPDATE,
        "struct val *v = bpf_map_lookup_elem(&m, &zero); if (v) { v->n++; bpf_map_update_elem(&m, &zero, v, 0); }",
        "__u32 k = 0; struct val *v = NULL; if (ctx->rx_queue_index) v = bpf_map_lookup_elem(&m, &k);"
        "if (!v) return 0;" + UPDATE,
        "__u32 k[2] = {}; struct val *v = bpf_map_lookup_elem(&m, &k[1]); if (!v) return 0;"
        "bpf_map_update_elem(&m, &k[1], v, BPF_ANY);",
        "struct name k = {}; struct val *v = bpf_map_lookup_elem(&keyed, &k); if (!v) return 0;"
        "bpf_map_update_elem(&keyed, &k, v, BPF_ANY);",
    ],
)
def test_takes_out(body: str) -> None:
    before = "static __noinline int touch(struct val *v) { if (v) v->n++; return 0; }\n"
    assert said(body, before) == ["safe"]


@pytest.mark.parametrize(
    ("body", "safety"),
    [
        ("", "safe"),
        ("key->part[0]++;", None),
        ("other->id = 1;", None),
        ("bpf_probe_read_kernel(other, 4, other);", None),
        ("key = other;", None),
        ("v->n++;", "safe"),  # a counter of 8 bytes is no struct name
        ("v->self->n++;", "safe"),
    ],
)
def test_key_behind_a_pointer(body: str, safety: str | None) -> None:
    function = (
        "static __noinline int f(struct name *key, struct name *other) { if (!key || !other) return 0;"
        "struct val *v = bpf_map_lookup_elem(&keyed, key); if (!v) return 0;"
        f"{body} bpf_map_update_elem(&keyed, key, v, BPF_ANY); return 0; }}\n"
    )
    assert said("struct name a = {}, b = {}; f(&a, &b);", function) == ([safety] if safety else [])


@pytest.mark.parametrize(
    ("callee", "safety"),
    [
        ("static int h(void) { return 1; }", "safe"),
        ("static int h(void) { __u32 k = 1; return bpf_map_delete_elem(&m, &k); }", None),
        ("static int g(void *map) { __u32 k = 1; return bpf_map_delete_elem(map, &k); }\n"
         "static int h(void) { return g(&m); }", None),
        ("static long each(void *map, __u32 *k, struct val *v, void *c) { bpf_map_delete_elem(map, k); return 0; }\n"
         "static int h(void) { return bpf_for_each_map_elem(&m, each, 0, 0); }", None),
        ("static int h(void) { struct name k = {}; return bpf_map_delete_elem(&keyed, &k); }", "safe"),
    ],
)  # fmt: skip
def test_functions_called_in_between(callee: str, safety: str | None) -> None:
    assert said(LOOKUP + "h();" + UPDATE, callee + "\n") == ([safety] if safety else [])


FOUND = "__u32 k = 1; struct val w = {}, *v = bpf_map_lookup_elem(&m, &k); if (!v) return 0; v->n++;"
STORE = "static void store(__u32 *k, struct val *v) { bpf_map_update_elem(&m, k, v, BPF_ANY); }\n"
COPY = "static void store(__u32 k, struct val *v) { v->n++; bpf_map_update_elem(&m, &k, v, BPF_ANY); }\n"
FIND = "static struct val *find(__u32 *k) { return bpf_map_lookup_elem(&m, k); }\n"
TOUCH = (
    "static void touch(void *map, __u32 *k) { struct val *v = bpf_map_lookup_elem(map, k);"
    " if (v) { v->n++; bpf_map_update_elem(map, k, v, BPF_ANY); } }\n"
)


@pytest.mark.parametrize(
    ("functions", "body"),
    [
        (STORE, FOUND + "store(&k, v); store(&k, &w);"),  # a copy, too
        (STORE, "__u32 k = 1; struct val *v = bpf_map_lookup_elem(&m, &k); store(&k, v);"),  # not checked
        (STORE, FOUND + "store(&k, v); v->n++;"),
        (STORE, FOUND + "struct val *a = v; store(&k, v); a->n++;"),
        (STORE, FOUND + "k++; store(&k, v);"),
        (STORE, FOUND + "__u32 j = 2; store(&j, v);"),
        (STORE, FOUND + "bpf_map_delete_elem(&m, &k); store(&k, v);"),
        (STORE, FOUND + "store(&k, v + 1);"),
        (STORE + "static void (*table[])(__u32 *, struct val *) = { store };\n", FOUND + "store(&k, v);"),
        (STORE.replace("static ", "__attribute__((noinline)) "), FOUND + "store(&k, v);"),  # others may call it
        (STORE + "#define BOTH(a, b) store(&k, a); store(&k, b)\n", FOUND + "BOTH(v, &w);"),
        (STORE + "#define BOTH do { store(&k, v); store(&k, &w); } while (0)\n", FOUND + "BOTH;"),
        (STORE.replace("{ bpf", "{ *k = 3; bpf"), FOUND + "store(&k, v);"),
        (STORE.replace("{ bpf", "{ for (int i = 0; i < 3; i++) bpf"), FOUND + "store(&k, v);"),
        (COPY, FOUND + "store((__u16)k, v);"),
        (COPY, FOUND + "store((__u32)(__u16)k, v);"),
        (COPY, FOUND + "store(k + 1, v);"),
        (COPY.replace("__u32 k", "__u16 k"), FOUND + "store(k, v);"),
        (COPY.replace("v->n++", "k++"), FOUND + "store(k, v);"),
        (FIND + "MAP(m2, BPF_MAP_TYPE_ARRAY, __u32);\n",
         "__u32 k = 1; struct val *v = find(&k); if (!v) return 0; bpf_map_update_elem(&m2, &k, v, BPF_ANY);"),
        (FIND.replace("{ ret", "{ *k &= 7; ret"), FOUND.replace("bpf_map_lookup_elem(&m, &k)", "find(&k)") + UPDATE),
        (FIND.replace("{ ret", "{ if (*k) return (struct val *)k; ret"), FOUND.replace(
            "bpf_map_lookup_elem(&m, &k)", "find(&k)") + UPDATE),
        (TOUCH, ""),  # nobody says which map
        (TOUCH + "MAP(trie, BPF_MAP_TYPE_LPM_TRIE, __u32);\n", "__u32 k = 1; touch(&m, &k); touch(&trie, &k);"),
        (TOUCH.replace("v->n++;", "map = &keyed;"), "__u32 k = 1; touch(&m, &k);"),
    ],
)  # fmt: skip
def test_leaves_alone_what_callers_decide(functions: str, body: str) -> None:
    assert said(body, functions) == []


@pytest.mark.parametrize(
    ("functions", "body", "safety"),
    [
        (STORE, FOUND + "store(&k, v);", "safe"),
        (STORE, FOUND + "if (k) store(&k, v);", "safe"),
        (STORE.replace("{ bpf", "{ if (v) bpf"), "__u32 k = 1; struct val *v = bpf_map_lookup_elem(&m, &k);"
         "store(&k, v);", "safe"),
        (STORE + "static void outer(__u32 *k, struct val *v) { v->n++; store(k, v); }\n", FOUND + "outer(&k, v);",
         "safe"),
        (COPY, FOUND + "store(k, v);", "safe"),
        (FIND, FOUND.replace("bpf_map_lookup_elem(&m, &k)", "find(&k)") + UPDATE, "safe"),
        (FIND + STORE, FOUND.replace("bpf_map_lookup_elem(&m, &k)", "find(&k)") + "store(&k, v);", "safe"),
        ("static struct val *find(__u32 *k) { struct val z = {}, *v = bpf_map_lookup_elem(&m, k); if (v) return v;"
         " bpf_map_update_elem(&m, k, &z, BPF_NOEXIST); return bpf_map_lookup_elem(&m, k); }\n",
         FOUND.replace("bpf_map_lookup_elem(&m, &k)", "find(&k)") + UPDATE, "safe"),
        (TOUCH, "__u32 k = 1; touch(&m, &k);", "safe"),
        (TOUCH + "MAP(lru, BPF_MAP_TYPE_LRU_HASH, __u32);\n", "__u32 k = 1; touch(&m, &k); touch(&lru, &k);",
         "suggested"),
    ],
)  # fmt: skip
def test_takes_out_what_all_callers_agree_on(functions: str, body: str, safety: str) -> None:
    assert said(body, functions) == [safety]


@pytest.mark.parametrize(
    ("macro", "use", "left"),
    [
        ("do { x; } while (0)", f"M({UPDATE[:-2]})", ""),
        ("do { if (d) x; } while (0)", f"M({UPDATE[:-2]})", ""),
        ("do { barrier(); x; } while (0)", f"M(d++; {UPDATE[:-2]})", "M(d++;)"),
        ("do { barrier(); x; } while (0)", f"M({UPDATE[:-2]})", None),
        ("do { barrier(); if (d) x; } while (0)", f"M({UPDATE[:-2]})", None),
        ("do { barrier(); if (d) { x; } } while (0)", f"M({UPDATE[:-2]})", None),
        ("do { if (d++) x; } while (0)", f"M({UPDATE[:-2]})", None),
        ("do { x; } while (d)", f"M({UPDATE[:-2]})", None),
        ("do { barrier(); x; bpf_printk(#x); } while (0)", f"M(d++; {UPDATE[:-2]})", None),
        ("do { if (d) { barrier(); x; } else { x; } } while (0)", f"M(d++; {UPDATE[:-2]})", None),
    ],
)
def test_in_the_argument_of_a_macro(macro: str, use: str, left: str | None) -> None:
    text = HEAD + f"#define M(x) {macro}\n" + 'SEC("xdp") int p(struct xdp_md *ctx)\n{\n\tint d = 0;\n' + LOOKUP
    text += f"\t{use};\n\treturn d;\n}}\n"
    after = text if left is None else text.replace(f"\t{use};\n", f"\t{left};\n" if left else "")
    assert fixed(text.encode(), NAME).decode() == after


@pytest.mark.parametrize(
    ("condition", "turned"),
    [
        ("d", "!d"),
        ("!d", "d"),
        ("!(d)", "d"),
        ("!(d && k)", "d && k"),
        ("(d)", "!(d)"),
        ("d == 3", "d != 3"),
        ("d & 3", "!(d & 3)"),
        ("d <= k", "d > k"),
        ("d && k", "!(d && k)"),
        ("(d = k)", "!(d = k)"),
        ("d ? k : 3", "!(d ? k : 3)"),
        ("bpf_ktime_get_ns()", "!bpf_ktime_get_ns()"),
    ],
)
def test_a_condition_is_turned_round(condition: str, turned: str) -> None:
    text = HEAD + 'SEC("xdp") int p(struct xdp_md *ctx)\n{\n\t__u32 d = ctx->rx_queue_index;\n' + LOOKUP
    text += f"\tif ({condition})\n\t\t{UPDATE}\telse\n\t\td++;\n\treturn d;\n}}\n"
    expected = text.replace(f"({condition})\n\t\t{UPDATE}\telse", f"({turned})")
    assert fixed(text.encode(), NAME).decode() == expected


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("MAP(x, BPF_MAP_TYPE_LRU_HASH, __u32);", "LRU map"),
        ("MAP(x, BPF_MAP_TYPE_LRU_PERCPU_HASH, __u32);", "LRU map"),
        ("MAP(x, BPF_MAP_TYPE_HASH, __u32);", ""),
        ("MAP(x, BPF_MAP_TYPE_PERCPU_HASH, __u32);", ""),
        ("MAP(x, BPF_MAP_TYPE_LPM_TRIE, __u32);", None),
        ("struct old_def { unsigned type; }; struct old_def SEC(\"maps\") x = { .type = BPF_MAP_TYPE_HASH };", ""),
        ("struct old_def { unsigned type; }; struct old_def x = { .type = BPF_MAP_TYPE_LRU_HASH };", "LRU"),
        ("struct old_def { unsigned type; }; struct old_def x = { .type = BPF_MAP_TYPE_LPM_TRIE };", None),
        ("struct old_def { unsigned type; }; extern struct old_def x;", "not known"),
    ],
)  # fmt: skip
def test_the_type_of_the_map_decides(definition: str, reason: str | None) -> None:
    body = (LOOKUP + UPDATE).replace("&m,", "&x,")
    fixes = found(body, definition + "\n")
    if reason is None:
        assert fixes == []
    else:
        (fix,) = fixes
        assert (fix.safety is Safety.SAFE) == (reason == "")
        assert reason in fix.reason


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("BPF_HASH(x);", ""),
        ("BPF_ARRAY(x, u64, 4);", ""),
        ("BPF_HISTOGRAM(x, u64);", ""),
        ('BPF_TABLE("hash", u64, u64, x, 8);', ""),
        ('BPF_F_TABLE("hash", u64, u64, x, 8, 1);', ""),
        ('BPF_TABLE("lru_hash", u64, u64, x, 8);', "LRU"),
        ('BPF_TABLE_PUBLIC("hash", u64, u64, x, 8);', "shared"),
        ('BPF_TABLE_PINNED("hash", u64, u64, x, 8, "/sys/fs/bpf/x");', "shared"),
        ('BPF_TABLE("extern", u64, u64, x, 8);', "not known"),
    ],
)
def test_bcc_maps(definition: str, reason: str) -> None:
    text = definition + "\nint f(void *ctx) { u64 k = 0, *v = x.lookup(&k);"
    text += " if (!v) return 0; x.update(&k, v);\nreturn 0; }\n"
    (fix,) = findings(text.encode(), NAME, dialect=BCC)
    assert (fix.safety is Safety.SAFE) == (reason == "")
    assert reason in fix.reason
    trie = text.replace(definition, "BPF_LPM_TRIE(x, u64, u64);")
    assert findings(trie.encode(), NAME, dialect=BCC) == []


def test_a_deletion_matters_to_a_hash_only() -> None:
    forget = "static int forget(__u32 k) { struct name key = { k }; bpf_map_delete_elem(&m, &k);"
    forget += " return bpf_map_delete_elem(&keyed, &key); }\n"
    assert said(LOOKUP + UPDATE, forget) == ["safe"]
    body = "struct name k = {}; struct val *v = bpf_map_lookup_elem(&keyed, &k); if (!v) return 0;"
    (fix,) = found(body + "bpf_map_update_elem(&keyed, &k, v, BPF_ANY);", forget)
    assert (fix.safety, fix.reason) == (
        Safety.SUGGESTED,
        "the file deletes from `keyed` too: the update puts back an entry deleted after the lookup",
    )


def test_message_names_the_call_and_the_variable() -> None:
    (fix,) = found(LOOKUP + "bpf_map_update_elem(&m, &k,\n\t\tv, BPF_ANY);")
    assert fix.message == (
        "`bpf_map_update_elem(&m, &k, v, BPF_ANY)` writes back the entry that lookup returned; "
        "writes through `v` are in the map"
    )


def test_a_hash_says_what_the_update_was_good_for() -> None:
    body = "struct name k = {}; struct val *v = bpf_map_lookup_elem(&keyed, &k); if (!v) return 0;"
    (fix,) = found(body + "bpf_map_update_elem(&keyed, &k, v, BPF_ANY);")
    assert fix.message.endswith("already, and the update could only put back what user space deleted meanwhile")


def test_the_finding_stands_at_the_call() -> None:
    text = HEAD + 'SEC("xdp") int p(struct xdp_md *ctx) {\n' + LOOKUP + UPDATE + "return 0; }\n"
    (fix,) = findings(text.encode(), NAME)
    assert text[fix.at.start : fix.at.end] + ";\n" == UPDATE


@pytest.mark.parametrize(
    ("lookup", "update", "written", "advised"),
    [
        ("key", "key2", True, True),
        ("pid", "tid", True, True),
        ("pid", "tgid", True, False),
        ("src_key", "dst_key", True, False),
        ("key", "kay", True, True),
        ("pid", "ppid", True, True),
        ("pid", "ppid", False, False),  # nothing was changed: a copy that is meant
    ],
)
def test_look_alike_keys(lookup: str, update: str, written: bool, advised: bool) -> None:
    body = f"__u32 {lookup} = 0, {update} = ctx->rx_queue_index; struct val *v = bpf_map_lookup_elem(&m, &{lookup});"
    body += f"if (!v) return 0; {'v->n++;' if written else ''} bpf_map_update_elem(&m, &{update}, v, BPF_ANY);"
    fixes = found(body)
    assert [fix.safety for fix in fixes] == ([Safety.ADVICE] if advised else [])
    assert all(f"`&{lookup}`" in fix.message and f"`&{update}`" in fix.message for fix in fixes)


def test_a_condition_that_does_something_stays() -> None:
    text = HEAD + 'SEC("xdp") int p(struct xdp_md *ctx)\n{\n' + LOOKUP
    text += "\tif (bpf_ktime_get_ns() > 4) {\n\t\t" + UPDATE + "\t}\n\treturn 0;\n}\n"
    assert fixed(text.encode(), NAME, safeties=UNSAFE).decode() == text.replace("\t\t" + UPDATE, "")


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """Everything on one CPU: where a per-CPU value lands must not be chance."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("verifier", "one_cpu")
def test_a_per_cpu_update_writes_what_is_there(compiled: Callable[[Path], Object]) -> None:
    case = FIXTURES / NAME / "per-cpu.c"
    before, after = (run_once(compiled(path), "count", bytes(64)) for path in (case, case.with_name("per-cpu.fixed.c")))
    assert any(any(value) for value in before.maps["queues"].values())
    assert before.maps == after.maps
