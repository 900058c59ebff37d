/* <linux/pkt_cls.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/pkt_cls.h>
