// One program that the verifier takes long over, and one that it does not.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("xdp")
int slow(struct xdp_md *ctx)
{
	__u64 sum = 0;

	for (int i = 0; i < 1000000; i++) {
		if (bpf_get_prandom_u32() & 1)
			sum += i;
		__asm__ volatile("" : "+r"(sum));
	}
	return sum & 1;
}

SEC("xdp")
int quick(struct xdp_md *ctx)
{
	return XDP_PASS;
}
