/* <linux/perf_event.h>, as sources of the kernel name it; for parsing alone. */
#include <linux/perf_event.h>
