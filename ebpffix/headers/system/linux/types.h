/* The kernel's exported integer types, for parsing alone. */
#ifndef _LINUX_TYPES_H
#define _LINUX_TYPES_H

#ifndef EBPFFIX_VMLINUX
#include <asm/types.h>

typedef __u16 __le16;
typedef __u16 __be16;
typedef __u32 __le32;
typedef __u32 __be32;
typedef __u64 __le64;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef unsigned int __poll_t;
typedef __s64 __kernel_time64_t;
typedef long __kernel_long_t;
typedef unsigned long __kernel_ulong_t;
typedef unsigned long __kernel_size_t;
typedef int __kernel_pid_t;
typedef unsigned int __kernel_uid32_t;
#endif

/* u64 that is aligned the same everywhere. */
#ifndef __aligned_u64
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#define __aligned_be64 __be64 __attribute__((aligned(8)))
#endif
#ifndef __bitwise
#define __bitwise
#endif

#endif
