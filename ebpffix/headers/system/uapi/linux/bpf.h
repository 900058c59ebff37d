/* <linux/bpf.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/bpf.h>
