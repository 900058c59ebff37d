/* <linux/sched.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/sched.h>
