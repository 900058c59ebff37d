/* struct pt_regs as user space sees it, for parsing alone: x86-64 unless __TARGET_ARCH_arm64 says otherwise. */
#ifndef EBPFFIX_ASM_PTRACE_H
#define EBPFFIX_ASM_PTRACE_H

#include <linux/types.h>

#ifndef EBPFFIX_VMLINUX
#ifdef __TARGET_ARCH_arm64
struct user_pt_regs {
    __u64 regs[31], sp, pc, pstate;
};
struct pt_regs {
    union {
        struct user_pt_regs user_regs;
        struct {
            __u64 regs[31], sp, pc, pstate;
        };
    };
    __u64 orig_x0;
    __s32 syscallno;
};
#elif defined(__KERNEL__)
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#else
struct pt_regs {
    unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags,
        rsp, ss;
};
#endif
#endif

#endif
