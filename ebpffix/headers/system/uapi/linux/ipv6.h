/* <linux/ipv6.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/ipv6.h>
