// There is no libc: copies of a constant size by the compiler's own function, a literal into an array too.
@builtin_memcpy@
identifier copy = {memcpy, memmove, memset};
fresh identifier builtin = "__builtin_" ## copy;
expression d, s;
constant n;
expression x;
type T;
@@
(
- copy(d, s, n)
+ builtin(d, s, n)
|
- copy(d, s, sizeof(x))
+ builtin(d, s, sizeof(x))
|
- copy(d, s, sizeof(T))
+ builtin(d, s, sizeof(T))
)

@libc_string@
expression d;
constant char[] text;
@@
- strcpy(d, text)
+ __builtin_memcpy(d, text, sizeof(text))
