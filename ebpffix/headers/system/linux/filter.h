/* Classic filters, for parsing alone. */
#ifndef __LINUX_FILTER_H__
#define __LINUX_FILTER_H__

#include <linux/types.h>
#include <linux/bpf_common.h>

#ifndef EBPFFIX_VMLINUX
struct sock_filter {
    __u16 code;
    __u8 jt, jf;
    __u32 k;
};
struct sock_fprog {
    unsigned short len;
    struct sock_filter *filter;
};
#endif
#define SKF_AD_OFF (-0x1000)
#define SKF_NET_OFF (-0x100000)
#define SKF_LL_OFF (-0x200000)

#endif
