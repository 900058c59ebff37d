// One program for each thing that can become of one.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("xdp")
int taken(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int unchecked_packet(struct xdp_md *ctx)
{
	char *data = (char *)(long)ctx->data;

	return data[0];
}

SEC("tc")
int part_of_the_stack(struct __sk_buff *skb)
{
	struct {
		__u64 never_set;
		__u64 value;
	} record;

	record.value = skb->mark;

	return bpf_skb_store_bytes(skb, 0, &record, sizeof(record), 0);
}

SEC("kprobe/do_unlinkat")
int probe(void *ctx)
{
	return 0;
}

SEC("fentry/no_such_function_of_any_kernel")
int no_target(void *ctx)
{
	return 0;
}

SEC("nobody_knows_this")
int odd_section(void *ctx)
{
	return 0;
}
