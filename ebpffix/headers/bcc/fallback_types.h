/* Types for BCC programs on a machine without BTF: the basic ones, and the members of kernel structs that programs
 * read most. For parsing by libclang alone. Names and types are true, sizes and offsets are not: whatever depends on a
 * kernel struct's layout must not be decided from here. */
#ifndef EBPFFIX_BCC_FALLBACK_TYPES_H
#define EBPFFIX_BCC_FALLBACK_TYPES_H

#ifndef __KERNEL__
#define __KERNEL__ /* the registers have the kernel's names */
#endif
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
#if __STDC_VERSION__ < 202000L
typedef _Bool bool;
enum { false = 0, true = 1 };
#endif

typedef int pid_t;
typedef unsigned int uid_t;
typedef unsigned int gid_t;
typedef unsigned int dev_t;
typedef unsigned short umode_t;
typedef unsigned int gfp_t;
typedef unsigned int fmode_t;
typedef long ssize_t;
typedef long long loff_t;
typedef long off_t;
typedef long long ktime_t;
typedef u64 sector_t;
typedef u64 blkcnt_t;
typedef unsigned long ino_t;
typedef unsigned short sa_family_t;
typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;
typedef struct { uid_t val; } kuid_t;
typedef struct { gid_t val; } kgid_t;
typedef struct { struct net *net; } possible_net_t;

struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };
struct rb_node { unsigned long __rb_parent_color; struct rb_node *rb_right, *rb_left; };

/* Files. */
struct ns_common { unsigned int inum; };
struct qstr { u32 hash, len; const unsigned char *name; };
struct super_block { dev_t s_dev; unsigned long s_magic; struct dentry *s_root; char s_id[32]; };
struct inode {
    umode_t i_mode; kuid_t i_uid; kgid_t i_gid; unsigned int i_flags; struct super_block *i_sb; unsigned long i_ino;
    dev_t i_rdev; loff_t i_size; const struct file_operations *i_fop;
};
struct dentry {
    struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; unsigned char d_iname[40];
    struct super_block *d_sb;
};
struct vfsmount { struct dentry *mnt_root; struct super_block *mnt_sb; int mnt_flags; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file_operations { void *read, *write, *read_iter, *write_iter, *open, *fsync; };
struct file {
    struct path f_path; struct inode *f_inode; const struct file_operations *f_op; unsigned int f_flags;
    fmode_t f_mode; loff_t f_pos; void *private_data;
};
struct iovec { void *iov_base; size_t iov_len; };
struct iov_iter { u8 iter_type; size_t iov_offset, count; const struct iovec *iov; };
struct kiocb { struct file *ki_filp; loff_t ki_pos; };
struct linux_binprm { struct file *file; const char *filename, *interp; int argc, envc; };
struct filename { const char *name; };

/* Tasks. */
struct pid_namespace { struct ns_common ns; unsigned int level; };
struct mnt_namespace { struct ns_common ns; };
struct nsproxy {
    struct mnt_namespace *mnt_ns; struct pid_namespace *pid_ns_for_children; struct net *net_ns;
};
struct upid { int nr; struct pid_namespace *ns; };
struct pid { unsigned int level; struct upid numbers[1]; };
struct cred { kuid_t uid; kgid_t gid; kuid_t suid, euid, fsuid; kgid_t egid; };
struct fdtable { unsigned int max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct mm_struct { unsigned long start_stack, arg_start, arg_end, env_start, env_end; struct file *exe_file; };
struct signal_struct { struct pid *pids[4]; };
struct kernfs_node { struct kernfs_node *parent; const char *name; u64 id; };
struct cgroup { int level; struct kernfs_node *kn; u64 id; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[16]; int nr_tasks; struct cgroup *dfl_cgrp; };
struct task_group;
struct task_struct {
    unsigned int __state; unsigned int flags; int on_cpu, prio, static_prio, exit_state, exit_code; pid_t pid, tgid;
    struct task_struct *real_parent, *parent, *group_leader; struct mm_struct *mm; struct pid *thread_pid;
    u64 start_time, start_boottime; const struct cred *real_cred, *cred; char comm[16]; struct files_struct *files;
    struct nsproxy *nsproxy; struct signal_struct *signal; struct css_set *cgroups;
    struct task_group *sched_task_group; unsigned long nvcsw, nivcsw;
};

/* Sockets and packets. */
struct in_addr { __be32 s_addr; };
struct in6_addr {
    union { __u8 u6_addr8[16]; __be16 u6_addr16[8]; __be32 u6_addr32[4]; } in6_u;
};
struct sockaddr { sa_family_t sa_family; char sa_data[14]; };
struct sockaddr_in { sa_family_t sin_family; __be16 sin_port; struct in_addr sin_addr; unsigned char __pad[8]; };
struct sockaddr_in6 {
    sa_family_t sin6_family; __be16 sin6_port; __be32 sin6_flowinfo; struct in6_addr sin6_addr; __u32 sin6_scope_id;
};
struct __kernel_sockaddr_storage { sa_family_t ss_family; char __data[126]; };
struct net { struct ns_common ns; };
struct proto { char name[32]; };
struct sock_common {
    union {
        struct { __be32 skc_daddr, skc_rcv_saddr; };
    };
    union {
        struct { __be16 skc_dport; __u16 skc_num; };
    };
    unsigned short skc_family; volatile unsigned char skc_state; int skc_bound_dev_if; possible_net_t skc_net;
    struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr; struct proto *skc_prot; atomic64_t skc_cookie;
};
struct sock {
    struct sock_common __sk_common; int sk_rcvbuf, sk_sndbuf, sk_err; u32 sk_ack_backlog, sk_max_ack_backlog;
    u16 sk_type, sk_protocol; u32 sk_mark; struct socket *sk_socket; void *sk_user_data; kuid_t sk_uid;
};
struct socket { int state; short type; unsigned long flags; struct file *file; struct sock *sk; };
struct inet_sock { struct sock sk; __be32 inet_saddr; __be16 inet_sport; };
struct inet_connection_sock { struct inet_sock icsk_inet; };
struct tcp_sock {
    struct inet_connection_sock inet_conn; u32 srtt_us, snd_cwnd, snd_ssthresh, total_retrans; u64 bytes_acked,
    bytes_received; u32 snd_nxt, rcv_nxt, copied_seq, write_seq;
};
struct udp_sock { struct inet_sock inet; };
struct cmsghdr { size_t cmsg_len; int cmsg_level, cmsg_type; };
struct msghdr {
    void *msg_name; int msg_namelen; struct iov_iter msg_iter; unsigned int msg_flags; void *msg_control;
    size_t msg_controllen;
};
struct net_device { char name[16]; unsigned int mtu; int ifindex; possible_net_t nd_net; };
struct sk_buff {
    struct net_device *dev; struct sock *sk; char cb[48]; unsigned int len, data_len; __u16 mac_len; __be16 protocol;
    __u16 transport_header, network_header, mac_header; unsigned int tail, end; unsigned char *head, *data;
    unsigned int truesize; __u32 hash, mark; __be16 vlan_proto; __u16 vlan_tci;
};
struct ethhdr { unsigned char h_dest[6], h_source[6]; __be16 h_proto; };
struct vlan_hdr { __be16 h_vlan_TCI, h_vlan_encapsulated_proto; };
struct iphdr {
    __u8 ihl : 4, version : 4; __u8 tos; __be16 tot_len, id, frag_off; __u8 ttl, protocol; __u16 check;
    __be32 saddr, daddr;
};
struct ipv6hdr {
    __u8 priority : 4, version : 4; __u8 flow_lbl[3]; __be16 payload_len; __u8 nexthdr, hop_limit;
    struct in6_addr saddr, daddr;
};
struct tcphdr {
    __be16 source, dest; __be32 seq, ack_seq; __u16 res1 : 4, doff : 4, fin : 1, syn : 1, rst : 1, psh : 1, ack : 1,
    urg : 1, ece : 1, cwr : 1; __be16 window; __u16 check; __be16 urg_ptr;
};
struct udphdr { __be16 source, dest, len; __u16 check; };
struct icmphdr { __u8 type, code; __u16 checksum; };
enum {
    IPPROTO_IP = 0, IPPROTO_ICMP = 1, IPPROTO_TCP = 6, IPPROTO_UDP = 17, IPPROTO_IPV6 = 41, IPPROTO_ICMPV6 = 58,
    IPPROTO_RAW = 255,
};
enum {
    TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE,
    TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING, TCP_NEW_SYN_RECV,
};
enum { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3 };

/* Interrupts. */
struct irqaction { const char *name; unsigned int irq; };
struct irq_desc { struct irqaction *action; };

/* Blocks. */
struct gendisk { int major, first_minor; char disk_name[32]; };
struct block_device { dev_t bd_dev; struct gendisk *bd_disk; };
struct bio { struct block_device *bi_bdev; unsigned int bi_opf; };
struct request_queue { struct gendisk *disk; };
struct request {
    struct request_queue *q; unsigned int cmd_flags, __data_len; sector_t __sector; struct bio *bio;
    u64 start_time_ns, io_start_time_ns;
};

#ifndef TASK_COMM_LEN
#define TASK_COMM_LEN 16
#endif

#endif
