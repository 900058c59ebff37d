/* For parsing alone. */
#include <linux/if.h>
