/* IPv4, for parsing alone: bitfields as on a little-endian machine. */
#ifndef _LINUX_IP_H
#define _LINUX_IP_H

#include <linux/types.h>

#define IPTOS_TOS_MASK 0x1E
#define IPTOS_TOS(tos) ((tos) & IPTOS_TOS_MASK)
#define IPTOS_LOWDELAY 0x10
#define IPTOS_THROUGHPUT 0x08
#define IPTOS_RELIABILITY 0x04
#define IPTOS_MINCOST 0x02
#define IPVERSION 4
#define MAXTTL 255
#define IPDEFTTL 64
#define IPOPT_END 0
#define IPOPT_NOOP 1

#ifndef __VMLINUX_H__
struct iphdr {
    __u8 ihl : 4, version : 4;
    __u8 tos;
    __be16 tot_len, id, frag_off;
    __u8 ttl, protocol;
    __sum16 check;
    union {
        struct {
            __be32 saddr, daddr;
        };
        struct {
            __be32 saddr, daddr;
        } addrs;
    };
};
struct ip_auth_hdr {
    __u8 nexthdr, hdrlen;
    __be16 reserved;
    __be32 spi, seq_no;
    __u8 auth_data[];
};
struct ip_esp_hdr {
    __be32 spi, seq_no;
    __u8 enc_data[];
};
#endif

#endif
