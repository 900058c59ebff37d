/* Network interfaces, for parsing alone. */
#ifndef _LINUX_IF_H
#define _LINUX_IF_H

#define IFNAMSIZ 16
#define IFALIASZ 256

#endif
