// The least that loads.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("xdp")
int plain(struct xdp_md *ctx)
{
	return XDP_PASS;
}
