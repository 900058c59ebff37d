/* CO-RE: reads that follow the kernel's own layout, and questions about it. For parsing by libclang alone.
 *
 * BPF_CORE_READ(task, group_leader, pid) is one statement expression: the whole chain's type for the result, one read
 * of the whole chain. libbpf reads link by link; the arguments' members and the types are the same in both. */
#ifndef __BPF_CORE_READ_H__
#define __BPF_CORE_READ_H__

#include <bpf/bpf_helpers.h>

/* EBPFFIX_CHAIN(src, a, b.c, d) is src->a->b.c->d. */
#define EBPFFIX_COUNTED(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, n, ...) n
#define EBPFFIX_COUNT(...) EBPFFIX_COUNTED(__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define EBPFFIX_CHAIN1(src) src
#define EBPFFIX_CHAIN2(src, a) (src)->a
#define EBPFFIX_CHAIN3(src, a, b) (src)->a->b
#define EBPFFIX_CHAIN4(src, a, b, c) (src)->a->b->c
#define EBPFFIX_CHAIN5(src, a, b, c, d) (src)->a->b->c->d
#define EBPFFIX_CHAIN6(src, a, b, c, d, e) (src)->a->b->c->d->e
#define EBPFFIX_CHAIN7(src, a, b, c, d, e, f) (src)->a->b->c->d->e->f
#define EBPFFIX_CHAIN8(src, a, b, c, d, e, f, g) (src)->a->b->c->d->e->f->g
#define EBPFFIX_CHAIN9(src, a, b, c, d, e, f, g, h) (src)->a->b->c->d->e->f->g->h
#define EBPFFIX_CHAIN10(src, a, b, c, d, e, f, g, h, i) (src)->a->b->c->d->e->f->g->h->i
#define EBPFFIX_CHAIN11(src, a, b, c, d, e, f, g, h, i, j) (src)->a->b->c->d->e->f->g->h->i->j
#define EBPFFIX_CHAIN12(src, a, b, c, d, e, f, g, h, i, j, k) (src)->a->b->c->d->e->f->g->h->i->j->k
#define EBPFFIX_CHAIN_(n, ...) EBPFFIX_CHAIN##n(__VA_ARGS__)
#define EBPFFIX_CHAIN_N(n, ...) EBPFFIX_CHAIN_(n, __VA_ARGS__)
#define EBPFFIX_CHAIN(...) EBPFFIX_CHAIN_N(EBPFFIX_COUNT(__VA_ARGS__), __VA_ARGS__)

#define EBPFFIX_VALUE_OF(read, ...)                                                                  \
    ({                                                                                               \
        typeof(EBPFFIX_CHAIN(__VA_ARGS__)) ____result;                                               \
        read((void *)&____result, sizeof(____result), (const void *)&EBPFFIX_CHAIN(__VA_ARGS__));    \
        ____result;                                                                                  \
    })
#define EBPFFIX_READ_INTO(read, dst, ...) read(dst, sizeof(*(dst)), (const void *)&EBPFFIX_CHAIN(__VA_ARGS__))
#define EBPFFIX_READ_STR(read, dst, ...) read((void *)(dst), sizeof(*(dst)), (const void *)EBPFFIX_CHAIN(__VA_ARGS__))

/* Two that libbpf keeps to itself and that programs use all the same: a chain, and its type. */
#define ___arrow(...) EBPFFIX_CHAIN(__VA_ARGS__)
#define ___type(...) typeof(EBPFFIX_CHAIN(__VA_ARGS__))

#define bpf_core_cast(ptr, type) ((typeof(type) *)(ptr))
#define bpf_core_read(dst, sz, src) \
    bpf_probe_read_kernel(dst, sz, (const void *)__builtin_preserve_access_index(src))
#define bpf_core_read_user(dst, sz, src) \
    bpf_probe_read_user(dst, sz, (const void *)__builtin_preserve_access_index(src))
#define bpf_core_read_str(dst, sz, src) \
    bpf_probe_read_kernel_str(dst, sz, (const void *)__builtin_preserve_access_index(src))
#define bpf_core_read_user_str(dst, sz, src) \
    bpf_probe_read_user_str(dst, sz, (const void *)__builtin_preserve_access_index(src))

#define BPF_CORE_READ(src, a, ...) EBPFFIX_VALUE_OF(bpf_probe_read_kernel, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_INTO(dst, src, a, ...) EBPFFIX_READ_INTO(bpf_probe_read_kernel, dst, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_STR_INTO(dst, src, a, ...) EBPFFIX_READ_STR(bpf_probe_read_kernel_str, dst, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_USER(src, a, ...) EBPFFIX_VALUE_OF(bpf_probe_read_user, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_USER_INTO(dst, src, a, ...) EBPFFIX_READ_INTO(bpf_probe_read_user, dst, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_USER_STR_INTO(dst, src, a, ...) EBPFFIX_READ_STR(bpf_probe_read_user_str, dst, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ(src, a, ...) EBPFFIX_VALUE_OF(bpf_probe_read_kernel, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_INTO(dst, src, a, ...) EBPFFIX_READ_INTO(bpf_probe_read_kernel, dst, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_STR_INTO(dst, src, a, ...) EBPFFIX_READ_STR(bpf_probe_read_kernel_str, dst, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_USER(src, a, ...) EBPFFIX_VALUE_OF(bpf_probe_read_user, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_USER_INTO(dst, src, a, ...) EBPFFIX_READ_INTO(bpf_probe_read_user, dst, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_USER_STR_INTO(dst, src, a, ...) EBPFFIX_READ_STR(bpf_probe_read_user_str, dst, src, a, ##__VA_ARGS__)

#define BPF_CORE_READ_BITFIELD(src, field) ((unsigned long long)(src)->field)
#define BPF_CORE_READ_BITFIELD_PROBED(src, field) ((unsigned long long)(src)->field)
#define BPF_CORE_WRITE_BITFIELD(src, field, value) ((src)->field = (value))

/* What these ask is answered when the program is loaded. The kinds of question, by number: */
enum bpf_field_info_kind {
    BPF_FIELD_BYTE_OFFSET = 0,
    BPF_FIELD_BYTE_SIZE = 1,
    BPF_FIELD_EXISTS = 2,
    BPF_FIELD_SIGNED = 3,
    BPF_FIELD_LSHIFT_U64 = 4,
    BPF_FIELD_RSHIFT_U64 = 5,
};
enum bpf_type_id_kind {
    BPF_TYPE_ID_LOCAL = 0,
    BPF_TYPE_ID_TARGET = 1,
};
enum bpf_type_info_kind {
    BPF_TYPE_EXISTS = 0,
    BPF_TYPE_SIZE = 1,
    BPF_TYPE_MATCHES = 2,
};
enum bpf_enum_value_kind {
    BPF_ENUMVAL_EXISTS = 0,
    BPF_ENUMVAL_VALUE = 1,
};

/* A field is named by an expression, or by a type and a member. */
#define EBPFFIX_FIELD1(field) field
#define EBPFFIX_FIELD2(type, member) ((typeof(type) *)0)->member
#define EBPFFIX_FIELD_(n, ...) EBPFFIX_FIELD##n(__VA_ARGS__)
#define EBPFFIX_FIELD_N(n, ...) EBPFFIX_FIELD_(n, __VA_ARGS__)
#define EBPFFIX_FIELD(...) EBPFFIX_FIELD_N(EBPFFIX_COUNT(__VA_ARGS__), __VA_ARGS__)
#define ___bpf_field_ref(field...) EBPFFIX_FIELD(field)

#define bpf_core_field_exists(field...) __builtin_preserve_field_info(EBPFFIX_FIELD(field), BPF_FIELD_EXISTS)
#define bpf_core_field_size(field...) __builtin_preserve_field_info(EBPFFIX_FIELD(field), BPF_FIELD_BYTE_SIZE)
#define bpf_core_field_offset(field...) __builtin_preserve_field_info(EBPFFIX_FIELD(field), BPF_FIELD_BYTE_OFFSET)
#define bpf_core_type_id_local(type) __builtin_btf_type_id(*(typeof(type) *)0, BPF_TYPE_ID_LOCAL)
#define bpf_core_type_id_kernel(type) __builtin_btf_type_id(*(typeof(type) *)0, BPF_TYPE_ID_TARGET)
#define bpf_core_type_exists(type) __builtin_preserve_type_info(*(typeof(type) *)0, BPF_TYPE_EXISTS)
#define bpf_core_type_matches(type) __builtin_preserve_type_info(*(typeof(type) *)0, BPF_TYPE_MATCHES)
#define bpf_core_type_size(type) __builtin_preserve_type_info(*(typeof(type) *)0, BPF_TYPE_SIZE)
#define bpf_core_enum_value_exists(type, value) \
    __builtin_preserve_enum_value(*(typeof(type) *)value, BPF_ENUMVAL_EXISTS)
#define bpf_core_enum_value(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, BPF_ENUMVAL_VALUE)

#endif
