#ifndef FIXES_H
#define FIXES_H

#define STEP 1
#define memset(to, byte, size) __builtin_memset(to, byte, size)

struct id {
	__u8 proto;
	__u32 port;
};

#endif
