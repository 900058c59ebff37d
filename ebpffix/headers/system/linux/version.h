/* The kernel's version, for parsing alone; -DLINUX_VERSION_CODE=… gives another. */
#ifndef EBPFFIX_LINUX_VERSION_H
#define EBPFFIX_LINUX_VERSION_H

#ifndef KERNEL_VERSION
#define KERNEL_VERSION(major, minor, patch) (((major) << 16) + ((minor) << 8) + ((patch) > 255 ? 255 : (patch)))
#endif
#ifndef LINUX_VERSION_CODE
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 12, 0)
#endif

#endif
