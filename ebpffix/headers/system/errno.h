/* For parsing alone: eBPF has the numbers, no variable. */
#include <linux/errno.h>
#ifndef ENOTSUP
#define ENOTSUP EOPNOTSUPP
#endif
