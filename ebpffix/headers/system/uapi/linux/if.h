/* <linux/if.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/if.h>
