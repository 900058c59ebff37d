/* What a libbpf program takes from <bpf/bpf_helpers.h>: sections, map definitions, helpers, loops.
 *
 * For parsing by libclang alone; nothing is compiled against it. The macros expand to trees of the shape that libbpf's
 * have, so that a program reads the same with either, and no further. */
#ifndef __BPF_HELPERS__
#define __BPF_HELPERS__

#include <bpf/bpf_helper_defs.h>

/* Maps: the members of an anonymous struct whose types carry the values. */
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __ulong(name, val) enum { EBPFFIX_PASTE(ebpffix_value_, __COUNTER__) = val } name
#define EBPFFIX_PASTE_(a, b) a##b
#define EBPFFIX_PASTE(a, b) EBPFFIX_PASTE_(a, b)

/* Where things go in the object file. */
#define SEC(name) __attribute__((section(name), used))
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))
#define __hidden __attribute__((visibility("hidden")))

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif

/* Tags that the verifier reads from BTF. */
#ifndef __kptr
#define __kptr __attribute__((btf_type_tag("kptr")))
#endif
#ifndef __kptr_untrusted
#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#endif
#ifndef __kptr_ref
#define __kptr_ref __attribute__((btf_type_tag("kptr_ref")))
#endif
#ifndef __percpu_kptr
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#endif
#ifndef __uptr
#define __uptr __attribute__((btf_type_tag("uptr")))
#endif
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#define __arg_nullable __attribute__((btf_decl_tag("arg:nullable")))
#define __arg_trusted __attribute__((btf_decl_tag("arg:trusted")))
#define __arg_untrusted __attribute__((btf_decl_tag("arg:untrusted")))
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))

#ifndef NULL
#define NULL ((void *)0)
#endif
#ifndef KERNEL_VERSION
#define KERNEL_VERSION(major, minor, patch) (((major) << 16) + ((minor) << 8) + ((patch) > 255 ? 255 : (patch)))
#endif
#ifndef offsetof
#define offsetof(type, member) ((unsigned long)&((type *)0)->member)
#endif
#ifndef container_of
#define container_of(ptr, type, member) ((type *)((void *)(ptr) - offsetof(type, member)))
#endif

#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif
#define __bpf_unreachable() __builtin_trap()

/* A map as libbpf before 1.0 had it. */
struct bpf_map_def {
    unsigned int type, key_size, value_size, max_entries, map_flags;
};

enum libbpf_pin_type {
    LIBBPF_PIN_NONE,
    LIBBPF_PIN_BY_NAME,
};

enum libbpf_tristate {
    TRI_NO = 0,
    TRI_YES = 1,
    TRI_MODULE = 2,
};

/* Packet loads of socket filters; the compiler knows them by these names. */
unsigned long long load_byte(void *skb, unsigned long long offset) __asm__("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) __asm__("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long offset) __asm__("llvm.bpf.load.word");

static __always_inline void bpf_tail_call_static(void *ctx, const void *map, const __u32 slot)
{
    bpf_tail_call(ctx, (void *)map, slot);
}

/* Printing. The format is a constant of its own and the values follow, however many there are. */
#define bpf_printk(fmt, args...)                                    \
    ({                                                              \
        static const char ____fmt[] = fmt;                          \
        bpf_trace_printk(____fmt, sizeof(____fmt), ##args);         \
    })
#define __bpf_printk(fmt, args...) bpf_printk(fmt, ##args)
#define __bpf_vprintk(fmt, args...) bpf_printk(fmt, ##args)
#define bpf_stream_printk(id, fmt, args...) bpf_printk(fmt, ##args)

#define EBPFFIX_VARIADIC(function) ((long (*)(void *, ...))(function))
/* What BPF_SEQ_PRINTF is made of; sched_ext programs build macros of their own from it. */
#define ___bpf_concat(a, b) a##b
#define ___bpf_apply(fn, n) ___bpf_concat(fn, n)
#define ___bpf_nth(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, n, ...) n
#define ___bpf_narg(...) ___bpf_nth(_, ##__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define ___bpf_fill(array, ...) ((void)(array) __VA_OPT__(, ) __VA_ARGS__)

#define BPF_SEQ_PRINTF(seq, fmt, args...)                                             \
    ({                                                                                \
        static const char ____fmt[] = fmt;                                            \
        EBPFFIX_VARIADIC(bpf_seq_printf)(seq, ____fmt, sizeof(____fmt), ##args);      \
    })
#define BPF_SNPRINTF(out, out_size, fmt, args...)                                     \
    ({                                                                                \
        static const char ____fmt[] = fmt;                                            \
        EBPFFIX_VARIADIC(bpf_snprintf)(out, out_size, ____fmt, ##args);               \
    })

/* Loops by kfunc iterators. A vmlinux.h of a recent kernel declares these functions too, alike. */
struct bpf_iter_num;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

#ifndef bpf_for_each
#define bpf_for_each(type, cur, args...)                                                                         \
    for (struct bpf_iter_##type ___it, *____made = (bpf_iter_##type##_new(&___it, ##args), &___it);              \
         ____made && ((cur) = bpf_iter_##type##_next(&___it));) /* some programs ask for it by that name */
#endif
#ifndef bpf_for
#define bpf_for(i, start, end) for ((i) = (start); (i) < (end); (i)++)
#endif
#ifndef bpf_repeat
#define bpf_repeat(times) for (int ____turn = 0; ____turn < (times); ____turn++)
#endif

#define bpf_ksym_exists(symbol) (!!(symbol))

#endif
