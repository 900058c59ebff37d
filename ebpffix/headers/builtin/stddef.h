/* Types of the compiler itself, for a library of clang that comes without its headers. For parsing alone. */
#ifndef EBPFFIX_STDDEF_H
#define EBPFFIX_STDDEF_H

typedef __SIZE_TYPE__ size_t;
/* The kernel has a wchar_t of two bytes, and a vmlinux.h shows it. */
#ifndef __VMLINUX_H__
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef __WCHAR_TYPE__ wchar_t;
#endif

#ifndef NULL
#define NULL ((void *)0)
#endif
#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

#endif
