/* <linux/if_packet.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/if_packet.h>
