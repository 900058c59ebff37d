/* <linux/if_vlan.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/if_vlan.h>
