/* ICMP, for parsing alone. */
#ifndef _LINUX_ICMP_H
#define _LINUX_ICMP_H

#include <linux/types.h>

#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_REDIRECT 5
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMPREPLY 14
#define ICMP_NET_UNREACH 0
#define ICMP_HOST_UNREACH 1
#define ICMP_PROT_UNREACH 2
#define ICMP_PORT_UNREACH 3
#define ICMP_FRAG_NEEDED 4
#define ICMP_EXC_TTL 0

#ifndef __VMLINUX_H__
struct icmphdr {
    __u8 type, code;
    __sum16 checksum;
    union {
        struct {
            __be16 id, sequence;
        } echo;
        __be32 gateway;
        struct {
            __be16 __unused, mtu;
        } frag;
        __u8 reserved[4];
    } un;
};
#endif

#endif
