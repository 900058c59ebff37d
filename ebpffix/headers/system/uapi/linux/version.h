/* <linux/version.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/version.h>
