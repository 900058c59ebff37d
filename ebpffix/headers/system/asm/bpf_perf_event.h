/* For parsing alone. */
#include <linux/bpf_perf_event.h>
