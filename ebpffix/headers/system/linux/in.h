/* Internet protocols and addresses, for parsing alone. */
#ifndef _LINUX_IN_H
#define _LINUX_IN_H

#include <linux/types.h>
#include <linux/socket.h>

#ifndef EBPFFIX_VMLINUX
enum {
    IPPROTO_IP = 0, IPPROTO_ICMP = 1, IPPROTO_IGMP = 2, IPPROTO_IPIP = 4, IPPROTO_TCP = 6, IPPROTO_EGP = 8,
    IPPROTO_PUP = 12, IPPROTO_UDP = 17, IPPROTO_IDP = 22, IPPROTO_TP = 29, IPPROTO_DCCP = 33, IPPROTO_IPV6 = 41,
    IPPROTO_RSVP = 46, IPPROTO_GRE = 47, IPPROTO_ESP = 50, IPPROTO_AH = 51, IPPROTO_MTP = 92, IPPROTO_BEETPH = 94,
    IPPROTO_ENCAP = 98, IPPROTO_PIM = 103, IPPROTO_COMP = 108, IPPROTO_L2TP = 115, IPPROTO_SCTP = 132,
    IPPROTO_UDPLITE = 136, IPPROTO_MPLS = 137, IPPROTO_ETHERNET = 143, IPPROTO_RAW = 255, IPPROTO_MPTCP = 262,
    IPPROTO_MAX,
};
struct in_addr {
    __be32 s_addr;
};
struct sockaddr_in {
    __kernel_sa_family_t sin_family;
    __be16 sin_port;
    struct in_addr sin_addr;
    unsigned char __pad[8];
};
typedef __u32 in_addr_t;
typedef __u16 in_port_t;
#endif

#define INADDR_ANY ((unsigned int)0x00000000)
#define INADDR_BROADCAST ((unsigned int)0xffffffff)
#define INADDR_NONE ((unsigned int)0xffffffff)
#define INADDR_LOOPBACK 0x7f000001
#define IN_MULTICAST(a) (((a) & 0xf0000000) == 0xe0000000)
#define IN_LOOPBACK(a) (((a) & 0xff000000) == 0x7f000000)
#define IP_TOS 1
#define IP_TTL 2
#define SOL_IP 0

#endif
