/* VLAN tags, for parsing alone: programs declare struct vlan_hdr themselves, since the exported header has none. */
#ifndef _LINUX_IF_VLAN_H_
#define _LINUX_IF_VLAN_H_

#include <linux/types.h>

#define VLAN_HLEN 4
#define VLAN_ETH_HLEN 18

#endif
