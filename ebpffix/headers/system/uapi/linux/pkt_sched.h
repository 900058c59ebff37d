/* <linux/pkt_sched.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/pkt_sched.h>
