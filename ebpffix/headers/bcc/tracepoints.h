/* The argument structs of TRACEPOINT_PROBE for events that programs often use. For parsing by libclang alone.
 *
 * BCC makes them from the running kernel's tracefs; these are made from the fields that a kernel's BTF gives for the
 * events, in BCC's spelling (data_loc_name, __do_not_use__). Only names and types are true to life: kernels differ in
 * the offsets. An event that is not here has an incomplete struct. */
#ifndef EBPFFIX_BCC_TRACEPOINTS_H
#define EBPFFIX_BCC_TRACEPOINTS_H

#ifndef __VMLINUX_H__
#include "fallback_types.h"
#endif

#define EBPFFIX_EVENT(category, event, ...) \
    struct tracepoint__##category##__##event { u64 __do_not_use__; __VA_ARGS__ };

EBPFFIX_EVENT(sched, sched_switch, char prev_comm[16]; int prev_pid; int prev_prio; long prev_state;
              char next_comm[16]; int next_pid; int next_prio;)
EBPFFIX_EVENT(sched, sched_wakeup, char comm[16]; int pid; int prio; int target_cpu;)
EBPFFIX_EVENT(sched, sched_wakeup_new, char comm[16]; int pid; int prio; int target_cpu;)
EBPFFIX_EVENT(sched, sched_waking, char comm[16]; int pid; int prio; int target_cpu;)
EBPFFIX_EVENT(sched, sched_process_exec, int data_loc_filename; int pid; int old_pid;)
EBPFFIX_EVENT(sched, sched_process_exit, char comm[16]; int pid; int prio; bool group_dead;)
EBPFFIX_EVENT(sched, sched_process_free, char comm[16]; int data_loc_comm; int pid; int prio;)
EBPFFIX_EVENT(sched, sched_process_wait, char comm[16]; int data_loc_comm; int pid; int prio;)
EBPFFIX_EVENT(sched, sched_process_fork, char parent_comm[16]; int data_loc_parent_comm; int parent_pid;
              char child_comm[16]; int data_loc_child_comm; int child_pid;)
EBPFFIX_EVENT(sched, sched_migrate_task, char comm[16]; int data_loc_comm; int pid; int prio; int orig_cpu;
              int dest_cpu;)
EBPFFIX_EVENT(sched, sched_stat_runtime, char comm[16]; int data_loc_comm; int pid; u64 runtime;)
EBPFFIX_EVENT(sched, sched_stat_wait, char comm[16]; int pid; u64 delay;)
EBPFFIX_EVENT(sched, sched_stat_sleep, char comm[16]; int pid; u64 delay;)
EBPFFIX_EVENT(sched, sched_stat_iowait, char comm[16]; int pid; u64 delay;)
EBPFFIX_EVENT(sched, sched_stat_blocked, char comm[16]; int pid; u64 delay;)

EBPFFIX_EVENT(irq, irq_handler_entry, int irq; int data_loc_name;)
EBPFFIX_EVENT(irq, irq_handler_exit, int irq; int ret;)
EBPFFIX_EVENT(irq, softirq_entry, unsigned int vec;)
EBPFFIX_EVENT(irq, softirq_exit, unsigned int vec;)
EBPFFIX_EVENT(irq, softirq_raise, unsigned int vec;)

EBPFFIX_EVENT(block, block_rq_issue, u32 dev; u64 sector; unsigned int nr_sector; unsigned int bytes; u16 ioprio;
              char rwbs[10]; char comm[16]; int data_loc_cmd;)
EBPFFIX_EVENT(block, block_rq_insert, u32 dev; u64 sector; unsigned int nr_sector; unsigned int bytes; u16 ioprio;
              char rwbs[10]; char comm[16]; int data_loc_cmd;)
EBPFFIX_EVENT(block, block_io_start, u32 dev; u64 sector; unsigned int nr_sector; unsigned int bytes; u16 ioprio;
              char rwbs[10]; char comm[16]; int data_loc_cmd;)
EBPFFIX_EVENT(block, block_io_done, u32 dev; u64 sector; unsigned int nr_sector; unsigned int bytes; u16 ioprio;
              char rwbs[10]; char comm[16]; int data_loc_cmd;)
EBPFFIX_EVENT(block, block_rq_complete, u32 dev; u64 sector; unsigned int nr_sector; int error; u16 ioprio;
              char rwbs[10]; int data_loc_cmd;)
EBPFFIX_EVENT(block, block_rq_requeue, u32 dev; u64 sector; unsigned int nr_sector; u16 ioprio; char rwbs[10];
              int data_loc_cmd;)
EBPFFIX_EVENT(block, block_bio_queue, u32 dev; u64 sector; unsigned int nr_sector; char rwbs[10]; char comm[16];)
EBPFFIX_EVENT(block, block_bio_complete, u32 dev; u64 sector; unsigned int nr_sector; int error; char rwbs[10];)

EBPFFIX_EVENT(sock, inet_sock_set_state, const void *skaddr; int oldstate; int newstate; u16 sport; u16 dport;
              u16 family; u16 protocol; u8 saddr[4]; u8 daddr[4]; u8 saddr_v6[16]; u8 daddr_v6[16];)
EBPFFIX_EVENT(sock, sock_rcvqueue_full, int rmem_alloc; unsigned int truesize; int sk_rcvbuf;)
EBPFFIX_EVENT(sock, sock_exceed_buf_limit, char name[32]; long sysctl_mem[3]; long allocated; int sysctl_rmem;
              int rmem_alloc; int sysctl_wmem; int wmem_alloc; int wmem_queued; int kind;)

EBPFFIX_EVENT(tcp, tcp_retransmit_skb, const void *skbaddr; const void *skaddr; int state; u16 sport; u16 dport;
              u16 family; u8 saddr[4]; u8 daddr[4]; u8 saddr_v6[16]; u8 daddr_v6[16]; int err;)
EBPFFIX_EVENT(tcp, tcp_send_reset, const void *skbaddr; const void *skaddr; int state; int reason; u8 saddr[28];
              u8 daddr[28];)
EBPFFIX_EVENT(tcp, tcp_receive_reset, const void *skaddr; u16 sport; u16 dport; u16 family; u8 saddr[4]; u8 daddr[4];
              u8 saddr_v6[16]; u8 daddr_v6[16]; u64 sock_cookie;)
EBPFFIX_EVENT(tcp, tcp_destroy_sock, const void *skaddr; u16 sport; u16 dport; u16 family; u8 saddr[4]; u8 daddr[4];
              u8 saddr_v6[16]; u8 daddr_v6[16]; u64 sock_cookie;)
EBPFFIX_EVENT(tcp, tcp_rcv_space_adjust, const void *skaddr; u16 sport; u16 dport; u16 family; u8 saddr[4];
              u8 daddr[4]; u8 saddr_v6[16]; u8 daddr_v6[16]; u64 sock_cookie;)
EBPFFIX_EVENT(tcp, tcp_probe, u8 saddr[28]; u8 daddr[28]; u16 sport; u16 dport; u16 family; u32 mark; u16 data_len;
              u32 snd_nxt; u32 snd_una; u32 snd_cwnd; u32 ssthresh; u32 snd_wnd; u32 srtt; u32 rcv_wnd;
              u64 sock_cookie; const void *skbaddr; const void *skaddr;)
EBPFFIX_EVENT(tcp, tcp_cong_state_set, const void *skaddr; u16 sport; u16 dport; u16 family; u8 saddr[4]; u8 daddr[4];
              u8 saddr_v6[16]; u8 daddr_v6[16]; u8 cong_state;)

EBPFFIX_EVENT(skb, kfree_skb, const void *skbaddr; const void *location; const void *rx_sk; u16 protocol; int reason;)
EBPFFIX_EVENT(skb, consume_skb, const void *skbaddr; const void *location;)

EBPFFIX_EVENT(net, netif_receive_skb, const void *skbaddr; unsigned int len; int data_loc_name;)
EBPFFIX_EVENT(net, net_dev_queue, const void *skbaddr; unsigned int len; int data_loc_name;)
EBPFFIX_EVENT(net, netif_rx, const void *skbaddr; unsigned int len; int data_loc_name;)
EBPFFIX_EVENT(net, net_dev_xmit, const void *skbaddr; unsigned int len; int rc; int data_loc_name;)
EBPFFIX_EVENT(net, net_dev_start_xmit, int data_loc_name; u16 queue_mapping; const void *skbaddr; bool vlan_tagged;
              u16 vlan_proto; u16 vlan_tci; u16 protocol; u8 ip_summed; unsigned int len; unsigned int data_len;
              int network_offset; bool transport_offset_valid; int transport_offset; u8 tx_flags; u16 gso_size;
              u16 gso_segs; u16 gso_type;)

EBPFFIX_EVENT(napi, napi_poll, const void *napi; int data_loc_dev_name; int work; int budget;)

EBPFFIX_EVENT(kmem, kmalloc, unsigned long call_site; const void *ptr; size_t bytes_req; size_t bytes_alloc;
              unsigned long gfp_flags; int node;)
EBPFFIX_EVENT(kmem, kfree, unsigned long call_site; const void *ptr;)
EBPFFIX_EVENT(kmem, kmem_cache_alloc, unsigned long call_site; const void *ptr; int data_loc_name; size_t bytes_req;
              size_t bytes_alloc; unsigned long gfp_flags; int node; bool accounted;)
EBPFFIX_EVENT(kmem, kmem_cache_free, unsigned long call_site; const void *ptr; int data_loc_name;)
EBPFFIX_EVENT(kmem, mm_page_alloc, unsigned long pfn; unsigned int order; unsigned long gfp_flags; int migratetype;)
EBPFFIX_EVENT(kmem, mm_page_free, unsigned long pfn; unsigned int order;)
EBPFFIX_EVENT(kmem, mm_page_alloc_extfrag, unsigned long pfn; int alloc_order; int fallback_order;
              int alloc_migratetype; int fallback_migratetype; int change_ownership;)
EBPFFIX_EVENT(kmem, kmalloc_node, unsigned long call_site; const void *ptr; size_t bytes_req; size_t bytes_alloc;
              unsigned long gfp_flags; int node;)
EBPFFIX_EVENT(kmem, kmem_cache_alloc_node, unsigned long call_site; const void *ptr; size_t bytes_req;
              size_t bytes_alloc; unsigned long gfp_flags; int node;)

EBPFFIX_EVENT(vmscan, mm_vmscan_direct_reclaim_begin, int order; unsigned long gfp_flags;)
EBPFFIX_EVENT(vmscan, mm_vmscan_direct_reclaim_end, unsigned long nr_reclaimed;)
EBPFFIX_EVENT(vmscan, mm_vmscan_kswapd_wake, int nid; int zid; int order;)
EBPFFIX_EVENT(vmscan, mm_vmscan_wakeup_kswapd, int nid; int zid; int order; unsigned long gfp_flags;)

EBPFFIX_EVENT(compaction, mm_compaction_begin, unsigned long zone_start; unsigned long migrate_pfn;
              unsigned long free_pfn; unsigned long zone_end; bool sync;)
EBPFFIX_EVENT(compaction, mm_compaction_end, unsigned long zone_start; unsigned long migrate_pfn;
              unsigned long free_pfn; unsigned long zone_end; bool sync; int status;)

EBPFFIX_EVENT(workqueue, workqueue_queue_work, const void *work; const void *function; int data_loc_workqueue;
              int req_cpu; int cpu;)
EBPFFIX_EVENT(workqueue, workqueue_execute_start, const void *work; const void *function;)
EBPFFIX_EVENT(workqueue, workqueue_execute_end, const void *work; const void *function;)
EBPFFIX_EVENT(workqueue, workqueue_activate_work, const void *work; const void *function;)

EBPFFIX_EVENT(power, cpu_idle, u32 state; u32 cpu_id;)
EBPFFIX_EVENT(power, cpu_frequency, u32 state; u32 cpu_id;)

EBPFFIX_EVENT(timer, timer_start, const void *timer; const void *function; unsigned long expires;
              unsigned long bucket_expiry; unsigned long now; unsigned int flags;)
EBPFFIX_EVENT(timer, timer_expire_entry, const void *timer; unsigned long now; const void *function;
              unsigned long baseclk;)
EBPFFIX_EVENT(timer, hrtimer_start, const void *hrtimer; const void *function; s64 expires; s64 softexpires; int mode;
              bool was_armed;)
EBPFFIX_EVENT(timer, hrtimer_expire_entry, const void *hrtimer; s64 now; const void *function;)

EBPFFIX_EVENT(signal, signal_generate, int sig; int errno; int code; char comm[16]; int pid; int group; int result;)
EBPFFIX_EVENT(signal, signal_deliver, int sig; int errno; int code; unsigned long sa_handler; unsigned long sa_flags;)

EBPFFIX_EVENT(raw_syscalls, sys_enter, long id; unsigned long args[6];)
EBPFFIX_EVENT(raw_syscalls, sys_exit, long id; long ret;)

EBPFFIX_EVENT(exceptions, page_fault_user, unsigned long address; unsigned long ip; unsigned long error_code;)
EBPFFIX_EVENT(exceptions, page_fault_kernel, unsigned long address; unsigned long ip; unsigned long error_code;)

EBPFFIX_EVENT(percpu, percpu_alloc_percpu, unsigned long call_site; bool reserved; bool is_atomic; size_t size;
              size_t align; const void *base_addr; int off; const void *ptr; size_t bytes_alloc;
              unsigned long gfp_flags;)
EBPFFIX_EVENT(percpu, percpu_free_percpu, const void *base_addr; int off; const void *ptr;)

EBPFFIX_EVENT(oom, mark_victim, int pid; char comm[16]; int data_loc_comm; unsigned long total_vm;
              unsigned long anon_rss; unsigned long file_rss; unsigned long shmem_rss; uid_t uid;
              unsigned long pgtables; s16 oom_score_adj;)
EBPFFIX_EVENT(oom, oom_score_adj_update, int pid; char comm[16]; s16 oom_score_adj;)

EBPFFIX_EVENT(task, task_newtask, int pid; char comm[16]; u64 clone_flags; s16 oom_score_adj;)
EBPFFIX_EVENT(task, task_rename, int pid; char oldcomm[16]; char newcomm[16]; s16 oom_score_adj;)

EBPFFIX_EVENT(filemap, mm_filemap_add_to_page_cache, unsigned long pfn; unsigned long i_ino; unsigned long index;
              u32 s_dev; u8 order;)
EBPFFIX_EVENT(filemap, mm_filemap_delete_from_page_cache, unsigned long pfn; unsigned long i_ino; unsigned long index;
              u32 s_dev; u8 order;)

EBPFFIX_EVENT(writeback, writeback_dirty_page, char name[32]; unsigned long ino; unsigned long index;)
EBPFFIX_EVENT(writeback, writeback_start, char name[32]; long nr_pages; u32 sb_dev; int sync_mode; int for_kupdate;
              int range_cyclic; int for_background; int reason; unsigned long cgroup_ino;)
EBPFFIX_EVENT(writeback, writeback_written, char name[32]; long nr_pages; u32 sb_dev; int sync_mode; int for_kupdate;
              int range_cyclic; int for_background; int reason; unsigned long cgroup_ino;)

EBPFFIX_EVENT(xdp, xdp_exception, int prog_id; u32 act; int ifindex;)
EBPFFIX_EVENT(xdp, xdp_redirect, int prog_id; u32 act; int ifindex; int err; int to_ifindex; u32 map_id;
              int map_index;)
EBPFFIX_EVENT(xdp, xdp_redirect_err, int prog_id; u32 act; int ifindex; int err; int to_ifindex; u32 map_id;
              int map_index;)
EBPFFIX_EVENT(xdp, xdp_cpumap_kthread, int map_id; u32 act; int cpu; unsigned int drops; unsigned int processed;
              int sched; unsigned int xdp_pass; unsigned int xdp_drop; unsigned int xdp_redirect;)
EBPFFIX_EVENT(xdp, xdp_cpumap_enqueue, int map_id; u32 act; int cpu; unsigned int drops; unsigned int processed;
              int to_cpu;)
EBPFFIX_EVENT(xdp, xdp_devmap_xmit, int from_ifindex; u32 act; int to_ifindex; int drops; int sent; int err;)

EBPFFIX_EVENT(migrate, mm_migrate_pages, unsigned long succeeded; unsigned long failed; unsigned long thp_succeeded;
              unsigned long thp_failed; unsigned long thp_split; unsigned long large_folio_split; int mode;
              int reason;)

EBPFFIX_EVENT(cgroup, cgroup_mkdir, int root; int level; u64 id; int data_loc_path;)
EBPFFIX_EVENT(cgroup, cgroup_attach_task, int dst_root; int dst_level; u64 dst_id; int pid; int data_loc_dst_path;
              char comm[16]; int data_loc_comm;)

EBPFFIX_EVENT(thermal, thermal_temperature, int data_loc_thermal_zone; int id; int temp_prev; int temp;)

EBPFFIX_EVENT(preemptirq, irq_disable, s32 caller_offs; s32 parent_offs;)
EBPFFIX_EVENT(preemptirq, irq_enable, s32 caller_offs; s32 parent_offs;)
EBPFFIX_EVENT(preemptirq, preempt_disable, s32 caller_offs; s32 parent_offs;)
EBPFFIX_EVENT(preemptirq, preempt_enable, s32 caller_offs; s32 parent_offs;)

EBPFFIX_EVENT(module, module_load, unsigned int taints; int data_loc_name;)
EBPFFIX_EVENT(module, module_free, int data_loc_name;)

EBPFFIX_EVENT(kvm, kvm_exit, u32 exit_reason; unsigned long guest_rip; u32 isa; u64 info1; u64 info2; u32 intr_info;
              u32 error_code; u32 vcpu_id;)
EBPFFIX_EVENT(kvm, kvm_entry, u32 vcpu_id; unsigned long rip;)
EBPFFIX_EVENT(kvm, kvm_hypercall, unsigned long nr; unsigned long a0; unsigned long a1; unsigned long a2;
              unsigned long a3;)

EBPFFIX_EVENT(random, urandom_read, int got_bits; int pool_left; int input_left;)

/* Every argument of a system call takes eight bytes. */
#define EBPFFIX_SYSCALL(call, ...)                                                              \
    EBPFFIX_EVENT(syscalls, sys_enter_##call, int __syscall_nr; __VA_ARGS__)                    \
    EBPFFIX_EVENT(syscalls, sys_exit_##call, int __syscall_nr; long ret;)

EBPFFIX_SYSCALL(read, u64 fd; char *buf; u64 count;)
EBPFFIX_SYSCALL(write, u64 fd; char *buf; u64 count;)
EBPFFIX_SYSCALL(open, const char *filename; u64 flags; u64 mode;)
EBPFFIX_SYSCALL(openat, u64 dfd; const char *filename; u64 flags; u64 mode;)
EBPFFIX_SYSCALL(openat2, u64 dfd; const char *filename; void *how; u64 usize;)
EBPFFIX_SYSCALL(creat, const char *pathname; u64 mode;)
EBPFFIX_SYSCALL(close, u64 fd;)
EBPFFIX_SYSCALL(stat, const char *filename; void *statbuf;)
EBPFFIX_SYSCALL(fstat, u64 fd; void *statbuf;)
EBPFFIX_SYSCALL(newstat, const char *filename; void *statbuf;)
EBPFFIX_SYSCALL(newlstat, const char *filename; void *statbuf;)
EBPFFIX_SYSCALL(newfstat, u64 fd; void *statbuf;)
EBPFFIX_SYSCALL(newfstatat, u64 dfd; const char *filename; void *statbuf; u64 flag;)
EBPFFIX_SYSCALL(statx, u64 dfd; const char *filename; u64 flags; u64 mask; void *buffer;)
EBPFFIX_SYSCALL(access, const char *filename; u64 mode;)
EBPFFIX_SYSCALL(faccessat, u64 dfd; const char *filename; u64 mode;)
EBPFFIX_SYSCALL(readlink, const char *path; char *buf; u64 bufsiz;)
EBPFFIX_SYSCALL(readlinkat, u64 dfd; const char *pathname; char *buf; u64 bufsiz;)
EBPFFIX_SYSCALL(unlink, const char *pathname;)
EBPFFIX_SYSCALL(unlinkat, u64 dfd; const char *pathname; u64 flag;)
EBPFFIX_SYSCALL(rename, const char *oldname; const char *newname;)
EBPFFIX_SYSCALL(renameat, u64 olddfd; const char *oldname; u64 newdfd; const char *newname;)
EBPFFIX_SYSCALL(renameat2, u64 olddfd; const char *oldname; u64 newdfd; const char *newname; u64 flags;)
EBPFFIX_SYSCALL(mkdir, const char *pathname; u64 mode;)
EBPFFIX_SYSCALL(mkdirat, u64 dfd; const char *pathname; u64 mode;)
EBPFFIX_SYSCALL(rmdir, const char *pathname;)
EBPFFIX_SYSCALL(link, const char *oldname; const char *newname;)
EBPFFIX_SYSCALL(symlink, const char *oldname; const char *newname;)
EBPFFIX_SYSCALL(chmod, const char *filename; u64 mode;)
EBPFFIX_SYSCALL(fchmodat, u64 dfd; const char *filename; u64 mode;)
EBPFFIX_SYSCALL(chown, const char *filename; u64 user; u64 group;)
EBPFFIX_SYSCALL(fchownat, u64 dfd; const char *filename; u64 user; u64 group; u64 flag;)
EBPFFIX_SYSCALL(truncate, const char *path; u64 length;)
EBPFFIX_SYSCALL(ftruncate, u64 fd; u64 length;)
EBPFFIX_SYSCALL(lseek, u64 fd; u64 offset; u64 whence;)
EBPFFIX_SYSCALL(pread64, u64 fd; char *buf; u64 count; u64 pos;)
EBPFFIX_SYSCALL(pwrite64, u64 fd; char *buf; u64 count; u64 pos;)
EBPFFIX_SYSCALL(readv, u64 fd; const void *vec; u64 vlen;)
EBPFFIX_SYSCALL(writev, u64 fd; const void *vec; u64 vlen;)
EBPFFIX_SYSCALL(fsync, u64 fd;)
EBPFFIX_SYSCALL(fdatasync, u64 fd;)
EBPFFIX_SYSCALL(dup, u64 oldfd;)
EBPFFIX_SYSCALL(dup2, u64 oldfd; u64 newfd;)
EBPFFIX_SYSCALL(dup3, u64 oldfd; u64 newfd; u64 flags;)
EBPFFIX_SYSCALL(pipe, void *fildes;)
EBPFFIX_SYSCALL(pipe2, void *fildes; u64 flags;)
EBPFFIX_SYSCALL(fcntl, u64 fd; u64 cmd; u64 arg;)
EBPFFIX_SYSCALL(ioctl, u64 fd; u64 cmd; u64 arg;)
EBPFFIX_SYSCALL(flock, u64 fd; u64 cmd;)
EBPFFIX_SYSCALL(getdents64, u64 fd; void *dirent; u64 count;)
EBPFFIX_SYSCALL(chdir, const char *filename;)
EBPFFIX_SYSCALL(mount, const char *dev_name; const char *dir_name; const char *type; u64 flags; void *data;)
EBPFFIX_SYSCALL(umount, const char *name; u64 flags;)
EBPFFIX_SYSCALL(execve, const char *filename; const char *const *argv; const char *const *envp;)
EBPFFIX_SYSCALL(execveat, u64 fd; const char *filename; const char *const *argv; const char *const *envp; u64 flags;)
EBPFFIX_SYSCALL(clone, u64 clone_flags; u64 newsp; void *parent_tidptr; void *child_tidptr; u64 tls;)
EBPFFIX_SYSCALL(clone3, void *uargs; u64 size;)
EBPFFIX_SYSCALL(fork, )
EBPFFIX_SYSCALL(vfork, )
EBPFFIX_SYSCALL(exit, u64 error_code;)
EBPFFIX_SYSCALL(exit_group, u64 error_code;)
EBPFFIX_SYSCALL(wait4, u64 upid; void *stat_addr; u64 options; void *ru;)
EBPFFIX_SYSCALL(kill, u64 pid; u64 sig;)
EBPFFIX_SYSCALL(tkill, u64 pid; u64 sig;)
EBPFFIX_SYSCALL(tgkill, u64 tgid; u64 pid; u64 sig;)
EBPFFIX_SYSCALL(setuid, u64 uid;)
EBPFFIX_SYSCALL(setgid, u64 gid;)
EBPFFIX_SYSCALL(setreuid, u64 ruid; u64 euid;)
EBPFFIX_SYSCALL(setresuid, u64 ruid; u64 euid; u64 suid;)
EBPFFIX_SYSCALL(setns, u64 fd; u64 flags;)
EBPFFIX_SYSCALL(unshare, u64 unshare_flags;)
EBPFFIX_SYSCALL(prctl, u64 option; u64 arg2; u64 arg3; u64 arg4; u64 arg5;)
EBPFFIX_SYSCALL(ptrace, u64 request; u64 pid; u64 addr; u64 data;)
EBPFFIX_SYSCALL(mmap, u64 addr; u64 len; u64 prot; u64 flags; u64 fd; u64 off;)
EBPFFIX_SYSCALL(munmap, u64 addr; u64 len;)
EBPFFIX_SYSCALL(mprotect, u64 start; u64 len; u64 prot;)
EBPFFIX_SYSCALL(brk, u64 brk;)
EBPFFIX_SYSCALL(madvise, u64 start; u64 len_in; u64 behavior;)
EBPFFIX_SYSCALL(futex, void *uaddr; u64 op; u64 val; void *utime; void *uaddr2; u64 val3;)
EBPFFIX_SYSCALL(nanosleep, void *rqtp; void *rmtp;)
EBPFFIX_SYSCALL(clock_nanosleep, u64 which_clock; u64 flags; void *rqtp; void *rmtp;)
EBPFFIX_SYSCALL(socket, u64 family; u64 type; u64 protocol;)
EBPFFIX_SYSCALL(connect, u64 fd; void *uservaddr; u64 addrlen;)
EBPFFIX_SYSCALL(bind, u64 fd; void *umyaddr; u64 addrlen;)
EBPFFIX_SYSCALL(listen, u64 fd; u64 backlog;)
EBPFFIX_SYSCALL(accept, u64 fd; void *upeer_sockaddr; void *upeer_addrlen;)
EBPFFIX_SYSCALL(accept4, u64 fd; void *upeer_sockaddr; void *upeer_addrlen; u64 flags;)
EBPFFIX_SYSCALL(sendto, u64 fd; void *buff; u64 len; u64 flags; void *addr; u64 addr_len;)
EBPFFIX_SYSCALL(recvfrom, u64 fd; void *ubuf; u64 size; u64 flags; void *addr; void *addr_len;)
EBPFFIX_SYSCALL(sendmsg, u64 fd; void *msg; u64 flags;)
EBPFFIX_SYSCALL(recvmsg, u64 fd; void *msg; u64 flags;)
EBPFFIX_SYSCALL(sendmmsg, u64 fd; void *mmsg; u64 vlen; u64 flags;)
EBPFFIX_SYSCALL(shutdown, u64 fd; u64 how;)
EBPFFIX_SYSCALL(setsockopt, u64 fd; u64 level; u64 optname; void *optval; u64 optlen;)
EBPFFIX_SYSCALL(getsockopt, u64 fd; u64 level; u64 optname; void *optval; void *optlen;)
EBPFFIX_SYSCALL(epoll_wait, u64 epfd; void *events; u64 maxevents; u64 timeout;)
EBPFFIX_SYSCALL(epoll_ctl, u64 epfd; u64 op; u64 fd; void *event;)
EBPFFIX_SYSCALL(poll, void *ufds; u64 nfds; u64 timeout_msecs;)
EBPFFIX_SYSCALL(select, u64 n; void *inp; void *outp; void *exp; void *tvp;)
EBPFFIX_SYSCALL(bpf, u64 cmd; void *uattr; u64 size;)
EBPFFIX_SYSCALL(perf_event_open, void *attr_uptr; u64 pid; u64 cpu; u64 group_fd; u64 flags;)
EBPFFIX_SYSCALL(init_module, void *umod; u64 len; void *uargs;)
EBPFFIX_SYSCALL(finit_module, u64 fd; void *uargs; u64 flags;)
EBPFFIX_SYSCALL(delete_module, const char *name_user; u64 flags;)
EBPFFIX_SYSCALL(memfd_create, const char *uname; u64 flags;)
EBPFFIX_SYSCALL(syslog, u64 type; char *buf; u64 len;)
EBPFFIX_SYSCALL(sync, )
EBPFFIX_SYSCALL(getpid, )
EBPFFIX_SYSCALL(getuid, )
EBPFFIX_SYSCALL(gettid, )
EBPFFIX_SYSCALL(process_vm_readv, u64 pid; const void *lvec; u64 liovcnt; const void *rvec; u64 riovcnt; u64 flags;)
EBPFFIX_SYSCALL(io_uring_enter, u64 fd; u64 to_submit; u64 min_complete; u64 flags; void *argp; u64 argsz;)
EBPFFIX_SYSCALL(sched_yield, )
EBPFFIX_SYSCALL(sched_setaffinity, u64 pid; u64 len; void *user_mask_ptr;)

#undef EBPFFIX_SYSCALL
#undef EBPFFIX_EVENT
#endif
