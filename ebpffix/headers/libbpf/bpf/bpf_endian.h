/* Byte order for eBPF programs, as macros, which is what tells a conversion from a call. For parsing alone: the target
 * is little-endian, as the machines are that programs are written on. */
#ifndef __BPF_ENDIAN__
#define __BPF_ENDIAN__

#define bpf_htons(x) ((unsigned short)__builtin_bswap16(x))
#define bpf_ntohs(x) ((unsigned short)__builtin_bswap16(x))
#define bpf_htonl(x) ((unsigned int)__builtin_bswap32(x))
#define bpf_ntohl(x) ((unsigned int)__builtin_bswap32(x))
#define bpf_cpu_to_be64(x) ((unsigned long long)__builtin_bswap64(x))
#define bpf_be64_to_cpu(x) ((unsigned long long)__builtin_bswap64(x))

/* The forms that older programs write for constants. */
#define __bpf_constant_htons(x) ((unsigned short)__builtin_bswap16(x))
#define __bpf_constant_ntohs(x) ((unsigned short)__builtin_bswap16(x))
#define __bpf_constant_htonl(x) ((unsigned int)__builtin_bswap32(x))
#define __bpf_constant_ntohl(x) ((unsigned int)__builtin_bswap32(x))
#define __bpf_constant_cpu_to_be64(x) ((unsigned long long)__builtin_bswap64(x))
#define __bpf_constant_be64_to_cpu(x) ((unsigned long long)__builtin_bswap64(x))
#define __bpf_htons(x) bpf_htons(x)
#define __bpf_ntohs(x) bpf_ntohs(x)
#define __bpf_htonl(x) bpf_htonl(x)
#define __bpf_ntohl(x) bpf_ntohl(x)
#define __bpf_cpu_to_be64(x) bpf_cpu_to_be64(x)
#define __bpf_be64_to_cpu(x) bpf_be64_to_cpu(x)

#endif
