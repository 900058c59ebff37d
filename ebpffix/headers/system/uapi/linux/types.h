/* <linux/types.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/types.h>
