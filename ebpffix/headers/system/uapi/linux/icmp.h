/* <linux/icmp.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/icmp.h>
