/* For parsing alone. */
#include <linux/errno.h>
