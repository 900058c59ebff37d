/* For parsing alone. */
#include <time.h>
