// A libbpf program with three of the habits that ebpffix mends.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct conn_key {
	u32 pid;
	u16 family;
	u64 cgroup;
};

struct traffic {
	u64 calls;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct conn_key);
	__type(value, struct traffic);
} connections SEC(".maps");

SEC("kprobe/tcp_connect")
int BPF_KPROBE(connect_entry, struct sock *sk)
{
	/* Two bytes after `family` belong to no member: they hold what was on the stack, and the key is never found again. */
	struct conn_key key = {
		.pid = bpf_get_current_pid_tgid() >> 32,
		.family = 2,
		.cgroup = bpf_get_current_cgroup_id(),
	};
	struct traffic zero = {}, *seen;
	char comm[16];

	seen = bpf_map_lookup_elem(&connections, &key);
	if (!seen) {
		bpf_get_current_comm(comm, sizeof(comm));
		memcpy(zero.comm, comm, sizeof(comm));
		zero.calls = 1;
		bpf_map_update_elem(&connections, &key, &zero, BPF_NOEXIST);
		return 0;
	}
	seen->calls++;
	bpf_map_update_elem(&connections, &key, seen, BPF_EXIST);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
