/* Tracing programs: registers by their role, and typed arguments for the program's function.
 *
 * For parsing by libclang alone. As with libbpf, BPF_KPROBE and its like make two functions: the program, which gets
 * the raw context, and a static inline one named ____program that has the written parameters and the written body. */
#ifndef __BPF_TRACING_H__
#define __BPF_TRACING_H__

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* The registers of each architecture as struct pt_regs has them. Without -D__TARGET_ARCH_… it is x86. */
#if defined(__TARGET_ARCH_arm64)
#define bpf_target_arm64
#define EBPFFIX_REGS struct user_pt_regs
#define EBPFFIX_PARM1 regs[0]
#define EBPFFIX_PARM2 regs[1]
#define EBPFFIX_PARM3 regs[2]
#define EBPFFIX_PARM4 regs[3]
#define EBPFFIX_PARM5 regs[4]
#define EBPFFIX_PARM6 regs[5]
#define EBPFFIX_PARM7 regs[6]
#define EBPFFIX_PARM8 regs[7]
#define EBPFFIX_RET regs[30]
#define EBPFFIX_FP regs[29]
#define EBPFFIX_RC regs[0]
#define EBPFFIX_SP sp
#define EBPFFIX_IP pc
#elif defined(__TARGET_ARCH_s390)
#define bpf_target_s390
#define EBPFFIX_REGS user_pt_regs
#define EBPFFIX_PARM1 gprs[2]
#define EBPFFIX_PARM2 gprs[3]
#define EBPFFIX_PARM3 gprs[4]
#define EBPFFIX_PARM4 gprs[5]
#define EBPFFIX_PARM5 gprs[6]
#define EBPFFIX_RET gprs[14]
#define EBPFFIX_FP gprs[11]
#define EBPFFIX_RC gprs[2]
#define EBPFFIX_SP gprs[15]
#define EBPFFIX_IP psw.addr
#elif defined(__TARGET_ARCH_arm)
#define bpf_target_arm
#define EBPFFIX_REGS struct pt_regs
#define EBPFFIX_PARM1 uregs[0]
#define EBPFFIX_PARM2 uregs[1]
#define EBPFFIX_PARM3 uregs[2]
#define EBPFFIX_PARM4 uregs[3]
#define EBPFFIX_RET uregs[14]
#define EBPFFIX_FP uregs[11]
#define EBPFFIX_RC uregs[0]
#define EBPFFIX_SP uregs[13]
#define EBPFFIX_IP uregs[12]
#elif defined(__TARGET_ARCH_mips)
#define bpf_target_mips
#define EBPFFIX_REGS struct pt_regs
#define EBPFFIX_PARM1 regs[4]
#define EBPFFIX_PARM2 regs[5]
#define EBPFFIX_PARM3 regs[6]
#define EBPFFIX_PARM4 regs[7]
#define EBPFFIX_PARM5 regs[8]
#define EBPFFIX_PARM6 regs[9]
#define EBPFFIX_PARM7 regs[10]
#define EBPFFIX_PARM8 regs[11]
#define EBPFFIX_RET regs[31]
#define EBPFFIX_FP regs[30]
#define EBPFFIX_RC regs[2]
#define EBPFFIX_SP regs[29]
#define EBPFFIX_IP cp0_epc
#elif defined(__TARGET_ARCH_powerpc)
#define bpf_target_powerpc
#define EBPFFIX_REGS struct pt_regs
#define EBPFFIX_PARM1 gpr[3]
#define EBPFFIX_PARM2 gpr[4]
#define EBPFFIX_PARM3 gpr[5]
#define EBPFFIX_PARM4 gpr[6]
#define EBPFFIX_PARM5 gpr[7]
#define EBPFFIX_PARM6 gpr[8]
#define EBPFFIX_PARM7 gpr[9]
#define EBPFFIX_PARM8 gpr[10]
#define EBPFFIX_RET link
#define EBPFFIX_FP gpr[31]
#define EBPFFIX_RC gpr[3]
#define EBPFFIX_SP gpr[1]
#define EBPFFIX_IP nip
#elif defined(__TARGET_ARCH_sparc)
#define bpf_target_sparc
#define EBPFFIX_REGS struct pt_regs
#define EBPFFIX_PARM1 u_regs[8]
#define EBPFFIX_PARM2 u_regs[9]
#define EBPFFIX_PARM3 u_regs[10]
#define EBPFFIX_PARM4 u_regs[11]
#define EBPFFIX_PARM5 u_regs[12]
#define EBPFFIX_PARM6 u_regs[13]
#define EBPFFIX_RET u_regs[15]
#define EBPFFIX_FP u_regs[14]
#define EBPFFIX_RC u_regs[8]
#define EBPFFIX_SP u_regs[14]
#define EBPFFIX_IP tpc
#elif defined(__TARGET_ARCH_riscv)
#define bpf_target_riscv
#define EBPFFIX_REGS struct user_regs_struct
#define EBPFFIX_PARM1 a0
#define EBPFFIX_PARM2 a1
#define EBPFFIX_PARM3 a2
#define EBPFFIX_PARM4 a3
#define EBPFFIX_PARM5 a4
#define EBPFFIX_PARM6 a5
#define EBPFFIX_PARM7 a6
#define EBPFFIX_PARM8 a7
#define EBPFFIX_RET ra
#define EBPFFIX_FP s0
#define EBPFFIX_RC a0
#define EBPFFIX_SP sp
#define EBPFFIX_IP pc
#elif defined(__TARGET_ARCH_arc)
#define bpf_target_arc
#define EBPFFIX_REGS struct user_regs_struct
#define EBPFFIX_PARM1 scratch.r0
#define EBPFFIX_PARM2 scratch.r1
#define EBPFFIX_PARM3 scratch.r2
#define EBPFFIX_PARM4 scratch.r3
#define EBPFFIX_PARM5 scratch.r4
#define EBPFFIX_PARM6 scratch.r5
#define EBPFFIX_PARM7 scratch.r6
#define EBPFFIX_PARM8 scratch.r7
#define EBPFFIX_RET scratch.blink
#define EBPFFIX_FP scratch.fp
#define EBPFFIX_RC scratch.r0
#define EBPFFIX_SP scratch.sp
#define EBPFFIX_IP scratch.ret
#elif defined(__TARGET_ARCH_loongarch)
#define bpf_target_loongarch
#define EBPFFIX_REGS struct pt_regs
#define EBPFFIX_PARM1 regs[4]
#define EBPFFIX_PARM2 regs[5]
#define EBPFFIX_PARM3 regs[6]
#define EBPFFIX_PARM4 regs[7]
#define EBPFFIX_PARM5 regs[8]
#define EBPFFIX_PARM6 regs[9]
#define EBPFFIX_PARM7 regs[10]
#define EBPFFIX_PARM8 regs[11]
#define EBPFFIX_RET regs[1]
#define EBPFFIX_FP regs[22]
#define EBPFFIX_RC regs[4]
#define EBPFFIX_SP regs[3]
#define EBPFFIX_IP csr_era
#else
#define bpf_target_x86
#if defined(__KERNEL__) || defined(__VMLINUX_H__)
#define EBPFFIX_REGS struct pt_regs
#define EBPFFIX_PARM1 di
#define EBPFFIX_PARM2 si
#define EBPFFIX_PARM3 dx
#define EBPFFIX_PARM4 cx
#define EBPFFIX_PARM5 r8
#define EBPFFIX_PARM6 r9
#define EBPFFIX_RET sp
#define EBPFFIX_FP bp
#define EBPFFIX_RC ax
#define EBPFFIX_SP sp
#define EBPFFIX_IP ip
#else /* as user space sees them, in <linux/ptrace.h> */
#define EBPFFIX_REGS struct pt_regs
#define EBPFFIX_PARM1 rdi
#define EBPFFIX_PARM2 rsi
#define EBPFFIX_PARM3 rdx
#define EBPFFIX_PARM4 rcx
#define EBPFFIX_PARM5 r8
#define EBPFFIX_PARM6 r9
#define EBPFFIX_RET rsp
#define EBPFFIX_FP rbp
#define EBPFFIX_RC rax
#define EBPFFIX_SP rsp
#define EBPFFIX_IP rip
#endif
#endif

/* System calls that take other registers than functions do. The words of psABI and kernel differ only here. */
#if defined(bpf_target_x86)
#define EBPFFIX_SYS4 r10
#elif defined(bpf_target_arm64)
#define EBPFFIX_SYS1 orig_x0
#elif defined(bpf_target_s390)
#define EBPFFIX_SYS1 orig_gpr2
#define EBPFFIX_SYS6 gprs[7]
#elif defined(bpf_target_arm)
#define EBPFFIX_SYS5 uregs[4]
#define EBPFFIX_SYS6 uregs[5]
#define EBPFFIX_SYS7 uregs[6]
#elif defined(bpf_target_powerpc)
#define EBPFFIX_SYS1 orig_gpr3
#endif
#ifndef EBPFFIX_SYS1
#define EBPFFIX_SYS1 EBPFFIX_PARM1
#endif
#ifndef EBPFFIX_SYS2
#define EBPFFIX_SYS2 EBPFFIX_PARM2
#endif
#ifndef EBPFFIX_SYS3
#define EBPFFIX_SYS3 EBPFFIX_PARM3
#endif
#ifndef EBPFFIX_SYS4
#define EBPFFIX_SYS4 EBPFFIX_PARM4
#endif
#ifndef EBPFFIX_SYS5
#define EBPFFIX_SYS5 EBPFFIX_PARM5
#endif
#ifndef EBPFFIX_SYS6
#define EBPFFIX_SYS6 EBPFFIX_PARM6
#endif
#ifndef EBPFFIX_SYS7
#define EBPFFIX_SYS7 EBPFFIX_PARM7
#endif

struct pt_regs;
#define __PT_REGS_CAST(x) ((const EBPFFIX_REGS *)(x))
#define EBPFFIX_REG(x, reg) (__PT_REGS_CAST(x)->reg)
#define EBPFFIX_REG_CORE(x, reg) BPF_CORE_READ(__PT_REGS_CAST(x), reg)

#define PT_REGS_PARM1(x) EBPFFIX_REG(x, EBPFFIX_PARM1)
#define PT_REGS_PARM1_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_PARM1)
#define PT_REGS_PARM2(x) EBPFFIX_REG(x, EBPFFIX_PARM2)
#define PT_REGS_PARM2_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_PARM2)
#define PT_REGS_PARM3(x) EBPFFIX_REG(x, EBPFFIX_PARM3)
#define PT_REGS_PARM3_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_PARM3)
#define PT_REGS_PARM4(x) EBPFFIX_REG(x, EBPFFIX_PARM4)
#define PT_REGS_PARM4_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_PARM4)
#define PT_REGS_PARM5(x) EBPFFIX_REG(x, EBPFFIX_PARM5)
#define PT_REGS_PARM5_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_PARM5)
#define PT_REGS_PARM6(x) EBPFFIX_REG(x, EBPFFIX_PARM6)
#define PT_REGS_PARM6_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_PARM6)
#define PT_REGS_PARM7(x) EBPFFIX_REG(x, EBPFFIX_PARM7)
#define PT_REGS_PARM7_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_PARM7)
#define PT_REGS_PARM8(x) EBPFFIX_REG(x, EBPFFIX_PARM8)
#define PT_REGS_PARM8_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_PARM8)
#define PT_REGS_RET(x) EBPFFIX_REG(x, EBPFFIX_RET)
#define PT_REGS_RET_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_RET)
#define PT_REGS_FP(x) EBPFFIX_REG(x, EBPFFIX_FP)
#define PT_REGS_FP_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_FP)
#define PT_REGS_RC(x) EBPFFIX_REG(x, EBPFFIX_RC)
#define PT_REGS_RC_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_RC)
#define PT_REGS_SP(x) EBPFFIX_REG(x, EBPFFIX_SP)
#define PT_REGS_SP_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_SP)
#define PT_REGS_IP(x) EBPFFIX_REG(x, EBPFFIX_IP)
#define PT_REGS_IP_CORE(x) EBPFFIX_REG_CORE(x, EBPFFIX_IP)
#define PT_REGS_PARM1_SYSCALL(x) EBPFFIX_SYSREG(x, EBPFFIX_SYS1)
#define PT_REGS_PARM1_CORE_SYSCALL(x) EBPFFIX_SYSREG_CORE(x, EBPFFIX_SYS1)
#define PT_REGS_PARM2_SYSCALL(x) EBPFFIX_SYSREG(x, EBPFFIX_SYS2)
#define PT_REGS_PARM2_CORE_SYSCALL(x) EBPFFIX_SYSREG_CORE(x, EBPFFIX_SYS2)
#define PT_REGS_PARM3_SYSCALL(x) EBPFFIX_SYSREG(x, EBPFFIX_SYS3)
#define PT_REGS_PARM3_CORE_SYSCALL(x) EBPFFIX_SYSREG_CORE(x, EBPFFIX_SYS3)
#define PT_REGS_PARM4_SYSCALL(x) EBPFFIX_SYSREG(x, EBPFFIX_SYS4)
#define PT_REGS_PARM4_CORE_SYSCALL(x) EBPFFIX_SYSREG_CORE(x, EBPFFIX_SYS4)
#define PT_REGS_PARM5_SYSCALL(x) EBPFFIX_SYSREG(x, EBPFFIX_SYS5)
#define PT_REGS_PARM5_CORE_SYSCALL(x) EBPFFIX_SYSREG_CORE(x, EBPFFIX_SYS5)
#define PT_REGS_PARM6_SYSCALL(x) EBPFFIX_SYSREG(x, EBPFFIX_SYS6)
#define PT_REGS_PARM6_CORE_SYSCALL(x) EBPFFIX_SYSREG_CORE(x, EBPFFIX_SYS6)
#define PT_REGS_PARM7_SYSCALL(x) EBPFFIX_SYSREG(x, EBPFFIX_SYS7)
#define PT_REGS_PARM7_CORE_SYSCALL(x) EBPFFIX_SYSREG_CORE(x, EBPFFIX_SYS7)
/* Registers that only the kernel's own struct has, such as orig_x0. */
#define EBPFFIX_SYSREG(x, reg) (((const struct pt_regs *)(x))->reg)
#define EBPFFIX_SYSREG_CORE(x, reg) BPF_CORE_READ((const struct pt_regs *)(x), reg)

/* A system call's wrapper gets its registers by pointer, where the architecture has such wrappers. */
#define PT_REGS_SYSCALL_REGS(ctx) ((struct pt_regs *)PT_REGS_PARM1(ctx))
#define BPF_KPROBE_READ_RET_IP(ip, ctx) bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)PT_REGS_RET(ctx))
#define BPF_KRETPROBE_READ_RET_IP(ip, ctx) bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)(PT_REGS_FP(ctx) + 8))

/* The outer function calls the inner one through a cast: how the arguments come out of the context is not of interest
 * here, that both exist and hang together is. */
#define EBPFFIX_PROGRAM(name, context, args...)                                                          \
    name(context *ctx);                                                                                  \
    static __attribute__((always_inline)) inline typeof(name(0)) ____##name(context *ctx, ##args);       \
    typeof(name(0)) name(context *ctx)                                                                   \
    {                                                                                                    \
        return ((typeof(name(0)) (*)(context *, ...))____##name)(ctx);                                   \
    }                                                                                                    \
    static __attribute__((always_inline)) inline typeof(name(0)) ____##name(context *ctx, ##args)

#define BPF_PROG(name, args...) EBPFFIX_PROGRAM(name, unsigned long long, ##args)
#define BPF_KPROBE(name, args...) EBPFFIX_PROGRAM(name, struct pt_regs, ##args)
#define BPF_KRETPROBE(name, args...) EBPFFIX_PROGRAM(name, struct pt_regs, ##args)
#define BPF_UPROBE(name, args...) EBPFFIX_PROGRAM(name, struct pt_regs, ##args)
#define BPF_URETPROBE(name, args...) EBPFFIX_PROGRAM(name, struct pt_regs, ##args)
#define BPF_KSYSCALL(name, args...) EBPFFIX_PROGRAM(name, struct pt_regs, ##args)
#define BPF_KPROBE_SYSCALL BPF_KSYSCALL

/* BPF_PROG2 writes its parameters as type, name, type, name, … so that structs can be passed by value. */
#define EBPFFIX_TYPED0()
#define EBPFFIX_TYPED1(type, name) , type name
#define EBPFFIX_TYPED2(type, name, more...) , type name EBPFFIX_TYPED1(more)
#define EBPFFIX_TYPED3(type, name, more...) , type name EBPFFIX_TYPED2(more)
#define EBPFFIX_TYPED4(type, name, more...) , type name EBPFFIX_TYPED3(more)
#define EBPFFIX_TYPED5(type, name, more...) , type name EBPFFIX_TYPED4(more)
#define EBPFFIX_TYPED6(type, name, more...) , type name EBPFFIX_TYPED5(more)
#define EBPFFIX_TYPED7(type, name, more...) , type name EBPFFIX_TYPED6(more)
#define EBPFFIX_TYPED8(type, name, more...) , type name EBPFFIX_TYPED7(more)
#define EBPFFIX_TYPED9(type, name, more...) , type name EBPFFIX_TYPED8(more)
#define EBPFFIX_TYPED10(type, name, more...) , type name EBPFFIX_TYPED9(more)
#define EBPFFIX_TYPED11(type, name, more...) , type name EBPFFIX_TYPED10(more)
#define EBPFFIX_TYPED12(type, name, more...) , type name EBPFFIX_TYPED11(more)
#define EBPFFIX_PAIRED(_0, _1, _1b, _2, _2b, _3, _3b, _4, _4b, _5, _5b, _6, _6b, _7, _7b, _8, _8b, _9, _9b, _10, \
                       _10b, _11, _11b, _12, _12b, n, ...) n
#define EBPFFIX_PAIRS(args...)                                                                                       \
    EBPFFIX_PAIRED(0, ##args, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0)
#define EBPFFIX_TYPED(args...) EBPFFIX_PASTE(EBPFFIX_TYPED, EBPFFIX_PAIRS(args))(args)
#define BPF_PROG2(name, args...) EBPFFIX_PROGRAM2(name, EBPFFIX_TYPED(args))
#define EBPFFIX_PROGRAM2(name, args...)                                                                              \
    name(unsigned long long *ctx);                                                                                   \
    static __attribute__((always_inline)) inline typeof(name(0)) ____##name(unsigned long long *ctx args);           \
    typeof(name(0)) name(unsigned long long *ctx)                                                                    \
    {                                                                                                                \
        return ((typeof(name(0)) (*)(unsigned long long *, ...))____##name)(ctx);                                    \
    }                                                                                                                \
    static __attribute__((always_inline)) inline typeof(name(0)) ____##name(unsigned long long *ctx args)

#endif
