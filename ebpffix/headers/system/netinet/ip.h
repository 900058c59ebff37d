/* For parsing alone: the kernel's names, not the C library's own. */
#include <netinet/in.h>
#include <linux/ip.h>
