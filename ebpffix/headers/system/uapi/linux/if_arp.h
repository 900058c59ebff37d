/* <linux/if_arp.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/if_arp.h>
