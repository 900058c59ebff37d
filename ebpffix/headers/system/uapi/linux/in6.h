/* <linux/in6.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/in6.h>
