/* Sockets, for parsing alone. */
#ifndef EBPFFIX_SYS_SOCKET_H
#define EBPFFIX_SYS_SOCKET_H

#include <sys/types.h>
#include <linux/socket.h>

#ifndef EBPFFIX_VMLINUX
typedef unsigned short sa_family_t;
typedef unsigned int socklen_t;
struct sockaddr {
    sa_family_t sa_family;
    char sa_data[14];
};
enum { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3, SOCK_SEQPACKET = 5 };
#endif
#define SO_REUSEADDR 2
#define SO_SNDBUF 7
#define SO_RCVBUF 8

#endif
