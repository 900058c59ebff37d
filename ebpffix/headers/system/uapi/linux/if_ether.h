/* <linux/if_ether.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/if_ether.h>
