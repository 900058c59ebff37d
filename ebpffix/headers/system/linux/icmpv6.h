/* ICMP for IPv6, for parsing alone: bitfields as on a little-endian machine. */
#ifndef _LINUX_ICMPV6_H
#define _LINUX_ICMPV6_H

#include <linux/types.h>

#ifndef __VMLINUX_H__
struct icmp6hdr {
    __u8 icmp6_type, icmp6_code;
    __sum16 icmp6_cksum;
    union {
        __be32 un_data32[1];
        __be16 un_data16[2];
        __u8 un_data8[4];
        struct {
            __be16 identifier, sequence;
        } u_echo;
        struct {
            __u32 reserved : 5, override : 1, solicited : 1, router : 1, reserved2 : 24;
        } u_nd_advt;
        struct {
            __u8 hop_limit;
            __u8 reserved : 3, router_pref : 2, home_agent : 1, other : 1, managed : 1;
            __be16 rt_lifetime;
        } u_nd_ra;
    } icmp6_dataun;
};
#endif
#define icmp6_identifier icmp6_dataun.u_echo.identifier
#define icmp6_sequence icmp6_dataun.u_echo.sequence
#define icmp6_pointer icmp6_dataun.un_data32[0]
#define icmp6_mtu icmp6_dataun.un_data32[0]

#define ICMPV6_DEST_UNREACH 1
#define ICMPV6_PKT_TOOBIG 2
#define ICMPV6_TIME_EXCEED 3
#define ICMPV6_PARAMPROB 4
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129
#define ICMPV6_NOROUTE 0
#define ICMPV6_ADM_PROHIBITED 1
#define ICMPV6_ADDR_UNREACH 3
#define ICMPV6_PORT_UNREACH 4
#define ICMPV6_EXC_HOPLIMIT 0

#endif
