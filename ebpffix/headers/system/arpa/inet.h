/* For parsing alone. */
#include <netinet/in.h>
