/* The context of perf_event programs, for parsing alone. */
#ifndef EBPFFIX_LINUX_BPF_PERF_EVENT_H
#define EBPFFIX_LINUX_BPF_PERF_EVENT_H

#include <linux/types.h>
#include <asm/ptrace.h>

#ifndef EBPFFIX_VMLINUX
#ifdef __TARGET_ARCH_arm64
typedef struct user_pt_regs bpf_user_pt_regs_t;
#else
typedef struct pt_regs bpf_user_pt_regs_t;
#endif
struct bpf_perf_event_data {
    bpf_user_pt_regs_t regs;
    __u64 sample_period, addr;
};
#endif

#endif
