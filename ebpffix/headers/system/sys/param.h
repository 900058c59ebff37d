/* For parsing alone. */
#ifndef EBPFFIX_SYS_PARAM_H
#define EBPFFIX_SYS_PARAM_H

#include <limits.h>
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
