/* For parsing alone. */
#include <linux/if_ether.h>
