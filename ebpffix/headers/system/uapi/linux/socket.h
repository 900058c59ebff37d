/* <linux/socket.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/socket.h>
