/* What BCC and the kernel's headers put before a program's text. For parsing by libclang alone.
 *
 * Comes behind a vmlinux.h made from BTF, or brings a few types of its own where there is none. The program's includes
 * of kernel headers are blanked, so the macros of those headers that programs lean on are here as well. */
#ifndef EBPFFIX_BCC_PRELUDE_H
#define EBPFFIX_BCC_PRELUDE_H

#ifndef __VMLINUX_H__
#include "fallback_types.h"
#endif

#ifndef __KERNEL__
#define __KERNEL__
#endif
#ifndef KBUILD_MODNAME
#define KBUILD_MODNAME "bcc"
#endif
#ifndef LINUX_VERSION_CODE
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 12, 0)
#endif

/* The kernel has these as macros. A transform tells a conversion by that, and BCC cannot rewrite inside them. */
#define ntohs(x) ((u16)__builtin_bswap16((u16)(x)))
#define htons(x) ((u16)__builtin_bswap16((u16)(x)))
#define ntohl(x) ((u32)__builtin_bswap32((u32)(x)))
#define htonl(x) ((u32)__builtin_bswap32((u32)(x)))
#define be16_to_cpu(x) ((u16)__builtin_bswap16((u16)(x)))
#define cpu_to_be16(x) ((u16)__builtin_bswap16((u16)(x)))
#define be32_to_cpu(x) ((u32)__builtin_bswap32((u32)(x)))
#define cpu_to_be32(x) ((u32)__builtin_bswap32((u32)(x)))
#define be64_to_cpu(x) ((u64)__builtin_bswap64((u64)(x)))
#define cpu_to_be64(x) ((u64)__builtin_bswap64((u64)(x)))
#define __be16_to_cpu(x) be16_to_cpu(x)
#define __cpu_to_be16(x) cpu_to_be16(x)
#define __be32_to_cpu(x) be32_to_cpu(x)
#define __cpu_to_be32(x) cpu_to_be32(x)
#define __be64_to_cpu(x) be64_to_cpu(x)
#define __cpu_to_be64(x) cpu_to_be64(x)
#define __constant_ntohs(x) ntohs(x)
#define __constant_htons(x) htons(x)
#define __constant_ntohl(x) ntohl(x)
#define __constant_htonl(x) htonl(x)
#define le16_to_cpu(x) ((u16)(x))
#define le32_to_cpu(x) ((u32)(x))
#define le64_to_cpu(x) ((u64)(x))
#define swab16(x) ((u16)__builtin_bswap16((u16)(x)))
#define swab32(x) ((u32)__builtin_bswap32((u32)(x)))

#define min(a, b) ({ typeof(a) ____a = (a); typeof(b) ____b = (b); ____a < ____b ? ____a : ____b; })
#define max(a, b) ({ typeof(a) ____a = (a); typeof(b) ____b = (b); ____a > ____b ? ____a : ____b; })
#define min_t(type, a, b) ({ type ____a = (a); type ____b = (b); ____a < ____b ? ____a : ____b; })
#define max_t(type, a, b) ({ type ____a = (a); type ____b = (b); ____a > ____b ? ____a : ____b; })
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define offsetof(type, member) __builtin_offsetof(type, member)
#define container_of(ptr, type, member) ((type *)((void *)(ptr) - offsetof(type, member)))
#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(list, type, member) list_entry((list)->next, type, member)
#define IS_ENABLED(option) 1
#define IS_ERR_VALUE(x) ((unsigned long)(void *)(x) >= (unsigned long)-4095)
#define MKDEV(major, minor) (((major) << 20) | (minor))
#define MAJOR(device) ((unsigned int)((device) >> 20))
#define MINOR(device) ((unsigned int)((device) & 0xfffff))
#define S_ISREG(mode) (((mode) & 0170000) == 0100000)
#define S_ISDIR(mode) (((mode) & 0170000) == 0040000)
#define S_ISCHR(mode) (((mode) & 0170000) == 0020000)
#define S_ISBLK(mode) (((mode) & 0170000) == 0060000)
#define S_ISFIFO(mode) (((mode) & 0170000) == 0010000)
#define S_ISLNK(mode) (((mode) & 0170000) == 0120000)
#define S_ISSOCK(mode) (((mode) & 0170000) == 0140000)
#ifndef __packed
#define __packed __attribute__((packed))
#endif
#ifndef __user
#define __user
#endif
#ifndef __rcu
#define __rcu
#endif
#ifndef __percpu
#define __percpu
#endif
#ifndef __must_check
#define __must_check
#endif
#ifndef __maybe_unused
#define __maybe_unused __attribute__((unused))
#endif

/* Helpers have the same names and numbers as with libbpf; printing alone has no size argument here. */
#define bpf_trace_printk ebpffix_trace_printk
#include <bpf/bpf_tracing.h>
#undef bpf_trace_printk
int bpf_trace_printk(const char *fmt, ...);

/* BCC compiles as the machine it runs on, and programs ask which that is, and how the kernel was configured. */
#if defined(bpf_target_arm64) && !defined(__aarch64__)
#define __aarch64__ 1
#elif defined(bpf_target_x86) && !defined(__x86_64__)
#define __x86_64__ 1
#endif
#ifndef CONFIG_64BIT
#define CONFIG_64BIT 1
#define CONFIG_SMP 1
#define CONFIG_NET_NS 1
#endif

#include "constants.h"
#include "maps.h"
#include "proto.h"
#include "tracepoints.h"

/* BCC's own functions. In BCC these conversions are functions, which it can rewrite inside. */
static inline u16 bpf_ntohs(u16 value) { return __builtin_bswap16(value); }
static inline u16 bpf_htons(u16 value) { return __builtin_bswap16(value); }
static inline u32 bpf_ntohl(u32 value) { return __builtin_bswap32(value); }
static inline u32 bpf_htonl(u32 value) { return __builtin_bswap32(value); }
static inline u64 bpf_ntohll(u64 value) { return __builtin_bswap64(value); }
static inline u64 bpf_htonll(u64 value) { return __builtin_bswap64(value); }
unsigned __int128 bpf_ntoh128(unsigned __int128 value);
unsigned __int128 bpf_hton128(unsigned __int128 value);

u64 load_dword(void *skb, u64 offset);
u64 bpf_pseudo_fd(u64 kind, u64 fd);
unsigned int bpf_log2(unsigned int value);
unsigned int bpf_log2l(unsigned long value);
int bpf_num_cpus(void);
u64 bpf_dext_pkt(void *packet, u64 offset, u64 bit_offset, u64 bit_size);
void bpf_dins_pkt(void *packet, u64 offset, u64 bit_offset, u64 bit_size, u64 value);
int incr_cksum_l3(void *offset, u64 old, u64 now);
int incr_cksum_l4(void *offset, u64 old, u64 now, u64 flags);
int bpf_usdt_readarg(int number, struct pt_regs *ctx, void *result);
int bpf_usdt_readarg_p(int number, struct pt_regs *ctx, void *buffer, u64 size);
#define lock_xadd(ptr, value) ((void)__sync_fetch_and_add(ptr, value))

/* Members that the kernel's headers give short names by macro. */
#define inet_daddr sk.__sk_common.skc_daddr
#define inet_rcv_saddr sk.__sk_common.skc_rcv_saddr
#define inet_dport sk.__sk_common.skc_dport
#define inet_num sk.__sk_common.skc_num
#define sk_family __sk_common.skc_family
#define sk_state __sk_common.skc_state
#define sk_num __sk_common.skc_num
#define sk_dport __sk_common.skc_dport
#define sk_daddr __sk_common.skc_daddr
#define sk_rcv_saddr __sk_common.skc_rcv_saddr
#define sk_v6_daddr __sk_common.skc_v6_daddr
#define sk_v6_rcv_saddr __sk_common.skc_v6_rcv_saddr
#define sk_net __sk_common.skc_net
#define sk_prot __sk_common.skc_prot
#define sk_bound_dev_if __sk_common.skc_bound_dev_if
#define sk_cookie __sk_common.skc_cookie
#define sk_refcnt __sk_common.skc_refcnt
#define s6_addr in6_u.u6_addr8
#define s6_addr16 in6_u.u6_addr16
#define s6_addr32 in6_u.u6_addr32
#define sockaddr_storage __kernel_sockaddr_storage

/* Memory and strings: a program may call them, the compiler knows them. */
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
char *strcpy(char *to, const char *from);
char *strncpy(char *to, const char *from, size_t size);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
size_t strlen(const char *text);

/* Inline functions of the kernel's headers, by what they are for rather than how they do it. */
static inline bool IS_ERR(const void *ptr) { return IS_ERR_VALUE(ptr); }
static inline long PTR_ERR(const void *ptr) { return (long)ptr; }
u64 div_u64(u64 n, u32 d);
u64 div64_u64(u64 n, u64 d);
struct inet_sock *inet_sk(const struct sock *sk);
struct inet_connection_sock *inet_csk(const struct sock *sk);
struct tcp_sock *tcp_sk(const struct sock *sk);
struct udp_sock *udp_sk(const struct sock *sk);
struct tcphdr *tcp_hdr(const struct sk_buff *skb);
struct udphdr *udp_hdr(const struct sk_buff *skb);
struct iphdr *ip_hdr(const struct sk_buff *skb);
struct ipv6hdr *ipv6_hdr(const struct sk_buff *skb);
struct ethhdr *eth_hdr(const struct sk_buff *skb);
struct icmphdr *icmp_hdr(const struct sk_buff *skb);
struct skb_shared_info *skb_shinfo(const struct sk_buff *skb);
struct tcp_skb_cb *TCP_SKB_CB(const struct sk_buff *skb);
struct raw_sock *raw_sk(const struct sock *sk);
struct unix_sock *unix_sk(const struct sock *sk);
struct inet_timewait_sock *inet_twsk(const struct sock *sk);
struct request_sock;
struct inet_request_sock *inet_rsk(const struct request_sock *request);
struct tcp_request_sock *tcp_rsk(const struct request_sock *request);
struct net *sock_net(const struct sock *sk);
struct net *dev_net(const struct net_device *device);
unsigned char *skb_end_pointer(const struct sk_buff *skb);
unsigned char *skb_tail_pointer(const struct sk_buff *skb);
unsigned int skb_headlen(const struct sk_buff *skb);
unsigned char *skb_transport_header(const struct sk_buff *skb);
unsigned char *skb_network_header(const struct sk_buff *skb);
unsigned char *skb_mac_header(const struct sk_buff *skb);
struct inode *file_inode(const struct file *file);
struct task_struct *get_current(void);
#define current get_current()

/* Programs. */
#define TRACEPOINT_PROBE(category, event) \
    int tracepoint__##category##__##event(struct tracepoint__##category##__##event *args)
#define RAW_TRACEPOINT_PROBE(event) int raw_tracepoint__##event(struct bpf_raw_tracepoint_args *ctx)
#define BPF_ITER(target) int bpf_iter__##target(struct bpf_iter__##target *ctx)
#undef BPF_PROG
#define BPF_PROG(name, args...) int EBPFFIX_PROGRAM(name, unsigned long long, ##args)
#define KFUNC_PROBE(event, args...) BPF_PROG(kfunc__vmlinux__##event, ##args)
#define KRETFUNC_PROBE(event, args...) BPF_PROG(kretfunc__vmlinux__##event, ##args)
#define MODULE_KFUNC_PROBE(module, event, args...) BPF_PROG(kfunc__##module##__##event, ##args)
#define MODULE_KRETFUNC_PROBE(module, event, args...) BPF_PROG(kretfunc__##module##__##event, ##args)
#define KMOD_RET(event, args...) BPF_PROG(kmod_ret__##event, ##args)
#define LSM_PROBE(event, args...) BPF_PROG(lsm__##event, ##args)
#define PT_REGS_SYSCALL_CTX(ctx) PT_REGS_SYSCALL_REGS(ctx)
#define BCC_SEC(name) __attribute__((section(name), used))
#define CUR_CPU_IDENTIFIER BPF_F_CURRENT_CPU
#define CC_USING_FENTRY

/* Where a tracepoint keeps a string: the offset is the lower half of data_loc_field. */
#define TP_DATA_LOC_READ_CONST(dst, field, length) \
    bpf_probe_read((void *)(dst), length, (char *)args + (args->data_loc_##field & 0xFFFF))
#define TP_DATA_LOC_READ(dst, field) TP_DATA_LOC_READ_CONST(dst, field, args->data_loc_##field >> 16)
#define TP_DATA_LOC_READ_STR(dst, field, length) \
    bpf_probe_read_str((void *)(dst), length, (char *)args + (args->data_loc_##field & 0xFFFF))

#endif
