/* POSIX types, for parsing alone. */
#ifndef EBPFFIX_SYS_TYPES_H
#define EBPFFIX_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifndef EBPFFIX_VMLINUX
typedef int pid_t;
typedef unsigned int uid_t;
typedef unsigned int gid_t;
typedef unsigned int mode_t;
typedef unsigned long dev_t;
typedef unsigned long ino_t;
typedef long off_t;
typedef long ssize_t;
typedef long time_t;
typedef int clockid_t;
#endif
typedef unsigned char u_char;
typedef unsigned short u_short;
typedef unsigned int u_int;
typedef unsigned long u_long;
typedef unsigned char u_int8_t;
typedef unsigned short u_int16_t;
typedef unsigned int u_int32_t;
typedef uint64_t u_int64_t;

#endif
