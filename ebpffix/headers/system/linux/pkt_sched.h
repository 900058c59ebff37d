/* Traffic control handles and priorities, for parsing alone. */
#ifndef __LINUX_PKT_SCHED_H
#define __LINUX_PKT_SCHED_H

#include <linux/types.h>

#define TC_PRIO_BESTEFFORT 0
#define TC_PRIO_FILLER 1
#define TC_PRIO_BULK 2
#define TC_PRIO_INTERACTIVE_BULK 4
#define TC_PRIO_INTERACTIVE 6
#define TC_PRIO_CONTROL 7
#define TC_PRIO_MAX 15
#define TC_H_MAJ_MASK 0xFFFF0000U
#define TC_H_MIN_MASK 0x0000FFFFU
#define TC_H_MAJ(handle) ((handle) & TC_H_MAJ_MASK)
#define TC_H_MIN(handle) ((handle) & TC_H_MIN_MASK)
#define TC_H_MAKE(major, minor) (((major) & TC_H_MAJ_MASK) | ((minor) & TC_H_MIN_MASK))
#define TC_H_UNSPEC 0U
#define TC_H_ROOT 0xFFFFFFFFU
#define TC_H_INGRESS 0xFFFFFFF1U
#define TC_H_CLSACT TC_H_INGRESS

#define TC_CAKE_MAX_TINS (8)
#define TC_CBQ_DEF_EWMA 5
#define TC_CBQ_MAXLEVEL 8
#define TC_CBQ_MAXPRIO 8
#define TC_CBQ_OVL_CLASSIC 0
#define TC_CBQ_OVL_DELAY 1
#define TC_CBQ_OVL_DROP 3
#define TC_CBQ_OVL_LOWPRIO 2
#define TC_CBQ_OVL_RCLASSIC 4
#define TC_HTB_MAXDEPTH 8
#define TC_HTB_NUMPRIO 8
#define TC_HTB_PROTOVER 3
#define TC_H_MIN_EGRESS 0xFFF3U
#define TC_H_MIN_INGRESS 0xFFF2U
#define TC_H_MIN_PRIORITY 0xFFE0U
#define TC_LINKLAYER_MASK 0x0F
#define TC_MQPRIO_F_MAX_RATE 0x8
#define TC_MQPRIO_F_MIN_RATE 0x4
#define TC_MQPRIO_F_MODE 0x1
#define TC_MQPRIO_F_SHAPER 0x2
#define TC_MQPRIO_HW_OFFLOAD_MAX (__TC_MQPRIO_HW_OFFLOAD_MAX - 1)
#define TC_QOPT_BITMASK 15
#define TC_QOPT_MAX_QUEUE 16
#define TC_RED_ADAPTATIVE 4
#define TC_RED_ECN 1
#define TC_RED_HARDDROP 2
#define TC_RED_HISTORIC_FLAGS (TC_RED_ECN | TC_RED_HARDDROP | TC_RED_ADAPTATIVE)
#define TC_RED_NODROP 8
#define TC_RTAB_SIZE 1024

#endif
