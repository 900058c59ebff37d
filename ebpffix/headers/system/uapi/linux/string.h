/* <linux/string.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/string.h>
