/* <linux/mpls.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/mpls.h>
