/* UDP, for parsing alone. */
#ifndef _LINUX_UDP_H
#define _LINUX_UDP_H

#include <linux/types.h>

#ifndef EBPFFIX_VMLINUX
struct udphdr {
    __be16 source, dest, len;
    __sum16 check;
};
#endif

#endif
