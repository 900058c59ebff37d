/* TCP, for parsing alone: bitfields as on a little-endian machine. */
#ifndef _LINUX_TCP_H
#define _LINUX_TCP_H

#include <linux/types.h>

#ifndef __VMLINUX_H__
struct tcphdr {
    __be16 source, dest;
    __be32 seq, ack_seq;
    __u16 ae : 1, res1 : 3, doff : 4, fin : 1, syn : 1, rst : 1, psh : 1, ack : 1, urg : 1, ece : 1, cwr : 1;
    __be16 window;
    __sum16 check;
    __be16 urg_ptr;
};
enum {
    TCP_FLAG_CWR = 0x00008000, TCP_FLAG_ECE = 0x00004000, TCP_FLAG_URG = 0x00002000, TCP_FLAG_ACK = 0x00001000,
    TCP_FLAG_PSH = 0x00000800, TCP_FLAG_RST = 0x00000400, TCP_FLAG_SYN = 0x00000200, TCP_FLAG_FIN = 0x00000100,
};
#endif

#define TCP_NODELAY 1
#define TCP_MAXSEG 2
#define TCP_CONGESTION 13
#define TCP_MSS_DEFAULT 536U
#define SOL_TCP 6

#endif
