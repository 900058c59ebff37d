/* What headers shared with user space name. For parsing alone. */
#ifndef EBPFFIX_UNISTD_H
#define EBPFFIX_UNISTD_H

#include <sys/types.h>

#endif
