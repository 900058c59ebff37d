/* <linux/bpf_perf_event.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/bpf_perf_event.h>
