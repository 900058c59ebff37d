/* Socket addresses as the kernel exports them, for parsing alone. */
#ifndef _LINUX_SOCKET_H
#define _LINUX_SOCKET_H

#ifndef EBPFFIX_VMLINUX
typedef unsigned short __kernel_sa_family_t;
#endif

#define SOL_SOCKET 1
#ifndef AF_INET
#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_LOCAL 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_VSOCK 40
#define AF_XDP 44
#define PF_UNIX AF_UNIX
#define PF_INET AF_INET
#define PF_INET6 AF_INET6
#define PF_PACKET AF_PACKET
#endif

#endif
