// A BCC program that the kernel refuses: "Permission denied", and no word about the line.
#include <net/sock.h>

int kprobe__tcp_set_state(struct pt_regs *ctx, struct sock *sk, int state)
{
	u16 sport = sk->__sk_common.skc_num;
	u16 dport = ntohs(sk->__sk_common.skc_dport);

	if (sport == 8087 || dport == 8087)
		bpf_trace_printk("sport %d dport %d state %d\n", sport, dport, state);
	return 0;
}
