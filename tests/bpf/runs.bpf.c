// Programs that BPF_PROG_TEST_RUN can run, with what they do to maps.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct padded {
	__u8 proto;
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct padded);
	__type(value, __u64);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} hits SEC(".maps");

static __attribute__((noinline)) int dirty_the_stack(int seed)
{
	volatile __u64 junk[8];

	for (int i = 0; i < 8; i++)
		junk[i] = 0xa5a5a5a5a5a5a5a5ull * seed;
	return junk[seed & 7];
}

// The lookup's key has padding that was never written: it misses the entry that has zeroes there.
SEC("xdp")
int lookup_padded(struct xdp_md *ctx)
{
	__u32 zero = 0, *hit = bpf_map_lookup_elem(&hits, &zero);
	__u64 *found;

	dirty_the_stack(ctx->ingress_ifindex | 1);
	if (hit)
		*hit += 1;

	struct padded key CLEARED;

	key.proto = 6;
	key.port = 80;
	found = bpf_map_lookup_elem(&seen, &key);
	if (!found)
		return XDP_DROP;
	*found += 1;
	return XDP_PASS;
}

SEC("tc")
int change_packet(struct __sk_buff *skb)
{
	__u8 byte = 0x7f;

	bpf_skb_store_bytes(skb, 0, &byte, 1, 0);
	return 3;
}

SEC("raw_tp/sched_switch")
int first_argument(__u64 *ctx)
{
	__u32 zero = 0, *hit = bpf_map_lookup_elem(&hits, &zero);

	if (hit)
		*hit = ctx[0];
	return 0;
}

SEC("kprobe/do_exit")
int not_runnable(void *ctx)
{
	return 0;
}
