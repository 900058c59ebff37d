/* <linux/tcp.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/tcp.h>
