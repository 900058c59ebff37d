/* For parsing alone. */
#ifndef EBPFFIX_SYS_CDEFS_H
#define EBPFFIX_SYS_CDEFS_H

#define __BEGIN_DECLS
#define __END_DECLS
#define __THROW

#endif
