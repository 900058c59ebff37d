/* Times, for parsing alone. */
#ifndef EBPFFIX_TIME_H
#define EBPFFIX_TIME_H

#include <sys/types.h>

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_BOOTTIME 7
#define CLOCK_TAI 11
#ifndef EBPFFIX_VMLINUX
struct timespec {
    long tv_sec, tv_nsec;
};
struct timeval {
    long tv_sec, tv_usec;
};
#endif

#endif
