/* Internet addresses, for parsing alone; byte order by macros, as the C library has it when it optimises. */
#ifndef EBPFFIX_NETINET_IN_H
#define EBPFFIX_NETINET_IN_H

#include <sys/socket.h>
#include <linux/in.h>
#include <linux/in6.h>

#define ntohs(x) ((__u16)__builtin_bswap16(x))
#define htons(x) ((__u16)__builtin_bswap16(x))
#define ntohl(x) ((__u32)__builtin_bswap32(x))
#define htonl(x) ((__u32)__builtin_bswap32(x))
#define INET_ADDRSTRLEN 16
#define INET6_ADDRSTRLEN 46

#endif
