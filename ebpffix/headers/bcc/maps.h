/* BCC's map macros. For parsing by libclang alone.
 *
 * A map is a global object named as the program names it, whose members are the methods: function pointers of the
 * map's own key and leaf type, so that m.lookup(&k) is a call with the right result. One shape serves every kind. */
#ifndef EBPFFIX_BCC_MAPS_H
#define EBPFFIX_BCC_MAPS_H

#ifndef __VMLINUX_H__
#include "fallback_types.h"
#endif

#define EBPFFIX_MAP(kind, name, key_t, leaf_t, size, map_flags)                                     \
    struct name##_table_t {                                                                         \
        key_t key;                                                                                  \
        leaf_t leaf;                                                                                \
        leaf_t *(*lookup)(key_t *);                                                                 \
        leaf_t *(*lookup_or_init)(key_t *, leaf_t *);                                               \
        leaf_t *(*lookup_or_try_init)(key_t *, leaf_t *);                                           \
        int (*update)(key_t *, leaf_t *, ...);                                                      \
        int (*insert)(key_t *, leaf_t *, ...);                                                      \
        int (*delete)(key_t *);                                                                     \
        void (*increment)(key_t, ...);                                                              \
        void (*atomic_increment)(key_t, ...);                                                       \
        EBPFFIX_METHODS                                                                             \
    } name __attribute__((section("maps/" kind))) = {.max_entries = (size), .flags = (map_flags)}

/* A queue or stack has no keys. */
#define EBPFFIX_KEYLESS(kind, name, leaf_t, size, map_flags)                                        \
    struct name##_table_t {                                                                         \
        leaf_t leaf;                                                                                \
        int (*push)(leaf_t *, u64);                                                                 \
        int (*pop)(leaf_t *);                                                                       \
        int (*peek)(leaf_t *);                                                                      \
        EBPFFIX_METHODS                                                                             \
    } name __attribute__((section("maps/" kind))) = {.max_entries = (size), .flags = (map_flags)}

/* The methods whose types do not depend on the map's. */
#define EBPFFIX_METHODS                                                                             \
    int (*get_stackid)(void *, u64);                                                                \
    void (*call)(void *, int);                                                                      \
    int (*perf_submit)(void *, void *, u32);                                                        \
    int (*perf_submit_skb)(void *, u32, void *, u32);                                               \
    u64 (*perf_read)(int);                                                                          \
    int (*perf_counter_value)(int, void *, u32);                                                    \
    int (*ringbuf_output)(void *, u64, u64);                                                        \
    void *(*ringbuf_reserve)(u64);                                                                  \
    void (*ringbuf_submit)(void *, u64);                                                            \
    void (*ringbuf_discard)(void *, u64);                                                           \
    u64 (*ringbuf_query)(u64);                                                                      \
    int (*check_current_task)(int);                                                                 \
    int (*redirect_map)(int, u64);                                                                  \
    int (*sock_map_update)(void *, void *, u64);                                                    \
    int (*sock_hash_update)(void *, void *, u64);                                                   \
    int (*msg_redirect_map)(void *, u32, u64);                                                      \
    int (*sk_redirect_map)(void *, u32, u64);                                                       \
    int (*msg_redirect_hash)(void *, void *, u64);                                                  \
    int (*sk_redirect_hash)(void *, void *, u64);                                                   \
    void *(*sk_storage_get)(void *, void *, int);                                                   \
    int (*sk_storage_delete)(void *);                                                               \
    void *(*inode_storage_get)(void *, void *, int);                                                \
    int (*inode_storage_delete)(void *);                                                            \
    void *(*task_storage_get)(void *, void *, int);                                                 \
    int (*task_storage_delete)(void *);                                                             \
    void *(*get_local_storage)(u64);                                                                \
    u32 max_entries;                                                                                \
    int flags;

/* EBPFFIX_BY_COUNT(NAME, …)(…) is NAME1(…) to NAME7(…) by the number of arguments. */
#define EBPFFIX_NTH(_1, _2, _3, _4, _5, _6, _7, n, ...) n
#define EBPFFIX_BY_COUNT(name, ...)                                                                 \
    EBPFFIX_NTH(__VA_ARGS__, name##7, name##6, name##5, name##4, name##3, name##2, name##1, 0)

#define BPF_F_TABLE(kind, key_t, leaf_t, name, size, map_flags) EBPFFIX_MAP(kind, name, key_t, leaf_t, size, map_flags)
#define BPF_TABLE(kind, key_t, leaf_t, name, size) EBPFFIX_MAP(kind, name, key_t, leaf_t, size, 0)
#define BPF_TABLE_PUBLIC(kind, key_t, leaf_t, name, size) EBPFFIX_MAP(kind, name, key_t, leaf_t, size, 0)
#define BPF_TABLE_SHARED5(kind, key_t, leaf_t, name, size) EBPFFIX_MAP(kind, name, key_t, leaf_t, size, 0)
#define BPF_TABLE_SHARED6(kind, key_t, leaf_t, name, size, flags) EBPFFIX_MAP(kind, name, key_t, leaf_t, size, flags)
#define BPF_TABLE_SHARED(...) EBPFFIX_BY_COUNT(BPF_TABLE_SHARED, __VA_ARGS__)(__VA_ARGS__)
#define BPF_TABLE_PINNED6(kind, key_t, leaf_t, name, size, path) EBPFFIX_MAP(kind, name, key_t, leaf_t, size, 0)
#define BPF_TABLE_PINNED7(kind, key_t, leaf_t, name, size, path, flags) \
    EBPFFIX_MAP(kind, name, key_t, leaf_t, size, flags)
#define BPF_TABLE_PINNED(...) EBPFFIX_BY_COUNT(BPF_TABLE_PINNED, __VA_ARGS__)(__VA_ARGS__)

/* Keys and leaves are u64 (an array's keys int) and 10240 entries fit, where the program does not say. */
#define BPF_HASH1(name) EBPFFIX_MAP("hash", name, u64, u64, 10240, 0)
#define BPF_HASH2(name, key_t) EBPFFIX_MAP("hash", name, key_t, u64, 10240, 0)
#define BPF_HASH3(name, key_t, leaf_t) EBPFFIX_MAP("hash", name, key_t, leaf_t, 10240, 0)
#define BPF_HASH4(name, key_t, leaf_t, size) EBPFFIX_MAP("hash", name, key_t, leaf_t, size, 0)
#define BPF_HASH(...) EBPFFIX_BY_COUNT(BPF_HASH, __VA_ARGS__)(__VA_ARGS__)

#define BPF_PERCPU_HASH1(name) EBPFFIX_MAP("percpu_hash", name, u64, u64, 10240, 0)
#define BPF_PERCPU_HASH2(name, key_t) EBPFFIX_MAP("percpu_hash", name, key_t, u64, 10240, 0)
#define BPF_PERCPU_HASH3(name, key_t, leaf_t) EBPFFIX_MAP("percpu_hash", name, key_t, leaf_t, 10240, 0)
#define BPF_PERCPU_HASH4(name, key_t, leaf_t, size) EBPFFIX_MAP("percpu_hash", name, key_t, leaf_t, size, 0)
#define BPF_PERCPU_HASH(...) EBPFFIX_BY_COUNT(BPF_PERCPU_HASH, __VA_ARGS__)(__VA_ARGS__)

#define BPF_LRU_HASH1(name) EBPFFIX_MAP("lru_hash", name, u64, u64, 10240, 0)
#define BPF_LRU_HASH2(name, key_t) EBPFFIX_MAP("lru_hash", name, key_t, u64, 10240, 0)
#define BPF_LRU_HASH3(name, key_t, leaf_t) EBPFFIX_MAP("lru_hash", name, key_t, leaf_t, 10240, 0)
#define BPF_LRU_HASH4(name, key_t, leaf_t, size) EBPFFIX_MAP("lru_hash", name, key_t, leaf_t, size, 0)
#define BPF_LRU_HASH(...) EBPFFIX_BY_COUNT(BPF_LRU_HASH, __VA_ARGS__)(__VA_ARGS__)

#define BPF_LRU_PERCPU_HASH1(name) EBPFFIX_MAP("lru_percpu_hash", name, u64, u64, 10240, 0)
#define BPF_LRU_PERCPU_HASH2(name, key_t) EBPFFIX_MAP("lru_percpu_hash", name, key_t, u64, 10240, 0)
#define BPF_LRU_PERCPU_HASH3(name, key_t, leaf_t) EBPFFIX_MAP("lru_percpu_hash", name, key_t, leaf_t, 10240, 0)
#define BPF_LRU_PERCPU_HASH4(name, key_t, leaf_t, size) EBPFFIX_MAP("lru_percpu_hash", name, key_t, leaf_t, size, 0)
#define BPF_LRU_PERCPU_HASH(...) EBPFFIX_BY_COUNT(BPF_LRU_PERCPU_HASH, __VA_ARGS__)(__VA_ARGS__)

#define BPF_LPM_TRIE1(name) EBPFFIX_MAP("lpm_trie", name, u64, u64, 10240, BPF_F_NO_PREALLOC)
#define BPF_LPM_TRIE2(name, key_t) EBPFFIX_MAP("lpm_trie", name, key_t, u64, 10240, BPF_F_NO_PREALLOC)
#define BPF_LPM_TRIE3(name, key_t, leaf_t) EBPFFIX_MAP("lpm_trie", name, key_t, leaf_t, 10240, BPF_F_NO_PREALLOC)
#define BPF_LPM_TRIE4(name, key_t, leaf_t, size) EBPFFIX_MAP("lpm_trie", name, key_t, leaf_t, size, BPF_F_NO_PREALLOC)
#define BPF_LPM_TRIE(...) EBPFFIX_BY_COUNT(BPF_LPM_TRIE, __VA_ARGS__)(__VA_ARGS__)

#define BPF_ARRAY1(name) EBPFFIX_MAP("array", name, int, u64, 10240, 0)
#define BPF_ARRAY2(name, leaf_t) EBPFFIX_MAP("array", name, int, leaf_t, 10240, 0)
#define BPF_ARRAY3(name, leaf_t, size) EBPFFIX_MAP("array", name, int, leaf_t, size, 0)
#define BPF_ARRAY(...) EBPFFIX_BY_COUNT(BPF_ARRAY, __VA_ARGS__)(__VA_ARGS__)

#define BPF_PERCPU_ARRAY1(name) EBPFFIX_MAP("percpu_array", name, int, u64, 10240, 0)
#define BPF_PERCPU_ARRAY2(name, leaf_t) EBPFFIX_MAP("percpu_array", name, int, leaf_t, 10240, 0)
#define BPF_PERCPU_ARRAY3(name, leaf_t, size) EBPFFIX_MAP("percpu_array", name, int, leaf_t, size, 0)
#define BPF_PERCPU_ARRAY(...) EBPFFIX_BY_COUNT(BPF_PERCPU_ARRAY, __VA_ARGS__)(__VA_ARGS__)

#define BPF_HISTOGRAM1(name) EBPFFIX_MAP("histogram", name, int, u64, 64, 0)
#define BPF_HISTOGRAM2(name, key_t) EBPFFIX_MAP("histogram", name, key_t, u64, 64, 0)
#define BPF_HISTOGRAM3(name, key_t, size) EBPFFIX_MAP("histogram", name, key_t, u64, size, 0)
#define BPF_HISTOGRAM(...) EBPFFIX_BY_COUNT(BPF_HISTOGRAM, __VA_ARGS__)(__VA_ARGS__)

#define BPF_SOCKHASH1(name) EBPFFIX_MAP("sockhash", name, u32, int, 10240, 0)
#define BPF_SOCKHASH2(name, key_t) EBPFFIX_MAP("sockhash", name, key_t, int, 10240, 0)
#define BPF_SOCKHASH3(name, key_t, size) EBPFFIX_MAP("sockhash", name, key_t, int, size, 0)
#define BPF_SOCKHASH(...) EBPFFIX_BY_COUNT(BPF_SOCKHASH, __VA_ARGS__)(__VA_ARGS__)

#define BPF_HASH_OF_MAPS2(name, inner) EBPFFIX_MAP("hash_of_maps", name, int, int, 10240, 0)
#define BPF_HASH_OF_MAPS3(name, key_t, inner) EBPFFIX_MAP("hash_of_maps", name, key_t, int, 10240, 0)
#define BPF_HASH_OF_MAPS4(name, key_t, inner, size) EBPFFIX_MAP("hash_of_maps", name, key_t, int, size, 0)
#define BPF_HASH_OF_MAPS(...) EBPFFIX_BY_COUNT(BPF_HASH_OF_MAPS, __VA_ARGS__)(__VA_ARGS__)

#define BPF_XSKMAP2(name, size) EBPFFIX_MAP("xskmap", name, int, int, size, 0)
#define BPF_XSKMAP3(name, size, path) EBPFFIX_MAP("xskmap", name, int, int, size, 0)
#define BPF_XSKMAP(...) EBPFFIX_BY_COUNT(BPF_XSKMAP, __VA_ARGS__)(__VA_ARGS__)

struct bpf_stacktrace {
    u64 ip[127];
};
struct bpf_stacktrace_buildid {
    struct {
        u32 status;
        u8 build_id[20];
        u64 offset;
    } trace[127];
};
#define BPF_MAX_STACK_DEPTH 127
#define BPF_STACK_TRACE(name, size) EBPFFIX_MAP("stacktrace", name, int, struct bpf_stacktrace, size, 0)
#define BPF_STACK_TRACE_BUILDID(name, size) EBPFFIX_MAP("stacktrace", name, int, struct bpf_stacktrace_buildid, size, 0)

#define BPF_PERF_OUTPUT(name) EBPFFIX_MAP("perf_output", name, int, u32, 0, 0)
#define BPF_RINGBUF_OUTPUT(name, pages) EBPFFIX_MAP("ringbuf", name, int, u32, (pages) * 4096, 0)
#define BPF_PERF_ARRAY(name, size) EBPFFIX_MAP("perf_array", name, int, u32, size, 0)
#define BPF_CGROUP_ARRAY(name, size) EBPFFIX_MAP("cgroup_array", name, int, u32, size, 0)
#define BPF_PROG_ARRAY(name, size) EBPFFIX_MAP("prog", name, u32, u32, size, 0)
#define BPF_ARRAY_OF_MAPS(name, inner, size) EBPFFIX_MAP("array_of_maps", name, int, int, size, 0)
#define BPF_DEVMAP(name, size) EBPFFIX_MAP("devmap", name, int, int, size, 0)
#define BPF_CPUMAP(name, size) EBPFFIX_MAP("cpumap", name, int, u32, size, 0)
#define BPF_XDP_REDIRECT_MAP(kind, leaf_t, name, size) EBPFFIX_MAP(kind, name, int, leaf_t, size, 0)
#define BPF_SOCKMAP(name, size) EBPFFIX_MAP("sockmap", name, u32, int, size, 0)
#define BPF_SK_STORAGE(name, leaf_t) EBPFFIX_MAP("sk_storage", name, int, leaf_t, 0, BPF_F_NO_PREALLOC)
#define BPF_INODE_STORAGE(name, leaf_t) EBPFFIX_MAP("inode_storage", name, int, leaf_t, 0, BPF_F_NO_PREALLOC)
#define BPF_TASK_STORAGE(name, leaf_t) EBPFFIX_MAP("task_storage", name, int, leaf_t, 0, BPF_F_NO_PREALLOC)
#define BPF_CGROUP_STORAGE(name, leaf_t) EBPFFIX_MAP("cgroup_storage", name, u64, leaf_t, 0, 0)
#define BPF_PERCPU_CGROUP_STORAGE(name, leaf_t) EBPFFIX_MAP("percpu_cgroup_storage", name, u64, leaf_t, 0, 0)

#define BPF_QUEUE3(name, leaf_t, size) EBPFFIX_KEYLESS("queue", name, leaf_t, size, 0)
#define BPF_QUEUE4(name, leaf_t, size, map_flags) EBPFFIX_KEYLESS("queue", name, leaf_t, size, map_flags)
#define BPF_QUEUE(...) EBPFFIX_BY_COUNT(BPF_QUEUE, __VA_ARGS__)(__VA_ARGS__)
#define BPF_STACK3(name, leaf_t, size) EBPFFIX_KEYLESS("stack", name, leaf_t, size, 0)
#define BPF_STACK4(name, leaf_t, size, map_flags) EBPFFIX_KEYLESS("stack", name, leaf_t, size, map_flags)
#define BPF_STACK(...) EBPFFIX_BY_COUNT(BPF_STACK, __VA_ARGS__)(__VA_ARGS__)
#define BPF_QUEUESTACK(kind, name, leaf_t, size, map_flags) EBPFFIX_KEYLESS(kind, name, leaf_t, size, map_flags)
#define BPF_QUEUESTACK_PUBLIC(kind, name, leaf_t, size, map_flags) EBPFFIX_KEYLESS(kind, name, leaf_t, size, map_flags)
#define BPF_QUEUESTACK_SHARED(kind, name, leaf_t, size, map_flags) EBPFFIX_KEYLESS(kind, name, leaf_t, size, map_flags)
#define BPF_QUEUESTACK_PINNED(kind, name, leaf_t, size, map_flags, path) \
    EBPFFIX_KEYLESS(kind, name, leaf_t, size, map_flags)

#endif
