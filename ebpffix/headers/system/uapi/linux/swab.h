/* <linux/swab.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/swab.h>
