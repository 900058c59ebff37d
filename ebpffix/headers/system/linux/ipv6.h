/* IPv6, for parsing alone: bitfields as on a little-endian machine. */
#ifndef _LINUX_IPV6_H
#define _LINUX_IPV6_H

#include <linux/types.h>
#include <linux/in6.h>

#define IPV6_MIN_MTU 1280

#ifndef EBPFFIX_VMLINUX
struct ipv6_opt_hdr {
    __u8 nexthdr, hdrlen;
} __attribute__((packed));
struct ipv6_rt_hdr {
    __u8 nexthdr, hdrlen, type, segments_left;
};
struct ipv6hdr {
    __u8 priority : 4, version : 4;
    __u8 flow_lbl[3];
    __be16 payload_len;
    __u8 nexthdr, hop_limit;
    union {
        struct {
            struct in6_addr saddr, daddr;
        };
        struct {
            struct in6_addr saddr, daddr;
        } addrs;
    };
};
#endif

#define IPV6_OPT_ROUTERALERT_MLD 0x0000
#define IPV6_SRCRT_STRICT 0x01
#define IPV6_SRCRT_TYPE_0 0
#define IPV6_SRCRT_TYPE_2 2
#define IPV6_SRCRT_TYPE_3 3
#define IPV6_SRCRT_TYPE_4 4

#endif
