/* User-space static tracepoints. For parsing by libclang alone: libbpf fills the two maps that these functions read. */
#ifndef __USDT_BPF_H__
#define __USDT_BPF_H__

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#ifndef BPF_USDT_MAX_SPEC_CNT
#define BPF_USDT_MAX_SPEC_CNT 256
#endif
#ifndef BPF_USDT_MAX_IP_CNT
#define BPF_USDT_MAX_IP_CNT (4 * BPF_USDT_MAX_SPEC_CNT)
#endif
#define BPF_USDT_MAX_ARG_CNT 12

int bpf_usdt_arg_cnt(struct pt_regs *ctx);
int bpf_usdt_arg_size(struct pt_regs *ctx, __u64 number);
int bpf_usdt_arg(struct pt_regs *ctx, __u64 number, long *result);
long bpf_usdt_cookie(struct pt_regs *ctx);

#define BPF_USDT(name, args...) EBPFFIX_PROGRAM(name, struct pt_regs, ##args)

#endif
