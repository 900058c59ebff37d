/* For parsing alone. */
#include <string.h>
