/* Times, for parsing alone. */
#ifndef _LINUX_TIME_H
#define _LINUX_TIME_H

#include <time.h>

#endif
