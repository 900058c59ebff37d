"""The table of map types against the bundled headers and against what is known of a few types."""

import re
from pathlib import Path

from ebpffix.kernel.map_types import BY_NAME, BY_NUMBER, HASH, Shape, bcc_type

BCC = Path(__file__).parent.parent / "ebpffix" / "headers" / "bcc" / "maps.h"


def test_numbers_follow_each_other_as_in_the_kernel() -> None:
    assert list(BY_NUMBER) == list(range(1, 34))
    assert [row.since for row in BY_NUMBER.values()] == sorted(row.since for row in BY_NUMBER.values())
    assert BY_NUMBER[1] is HASH and BY_NUMBER[27].name == "ringbuf" and BY_NUMBER[31].name == "user_ringbuf"


def test_all_types_that_bccs_macros_make_are_known() -> None:
    text = BCC.read_text()
    kinds = set(re.findall(r'EBPFFIX_(?:MAP|KEYLESS)\("(\w+)"', text))
    assert len(kinds) > 20
    assert {kind for kind in kinds if bcc_type(kind) is None} == set()
    macros = set(re.findall(r"^#define BPF_(\w+?)\d?\(", text, re.MULTILINE))
    by_argument = {m for m in macros if "TABLE" in m or m.startswith("QUEUESTACK") or m == "XDP_REDIRECT_MAP"}
    assert {m for m in macros - by_argument if bcc_type(m.lower()) is None} == set()


def test_what_a_type_is_like() -> None:
    assert HASH.in_place and HASH.is_hash and not HASH.is_array and HASH.operations >= {"lookup", "delete"}
    lru = BY_NAME["lru_percpu_hash"]
    assert lru.lru and lru.per_cpu and lru.is_hash
    array = BY_NAME["array"]
    assert array.is_array and array.key == 4 and "delete" not in array.operations
    outer = BY_NAME["hash_of_maps"]
    assert outer.shape is Shape.HASH and not outer.is_hash and outer.operations == {"lookup"}
    trie = BY_NAME["lpm_trie"]
    assert trie.in_place and not trie.is_hash
    assert BY_NAME["queue"].key == 0 and BY_NAME["queue"].operations == {"push", "pop", "peek"}


def test_max_entries() -> None:
    without = {row.name for row in BY_NUMBER.values() if not row.needs_max_entries}
    assert without == {
        *("sk_storage", "inode_storage", "task_storage", "cgrp_storage"),
        *("cgroup_storage", "percpu_cgroup_storage", "struct_ops"),
    }
    perf = BY_NAME["perf_event_array"]
    assert perf.needs_max_entries and not perf.needs_size_in_source


def test_a_name_that_bcc_does_not_have() -> None:
    assert bcc_type("extern") is None and bcc_type("") is None
