// A member of a pointer read inside a byte order macro: load first, convert after the declarations.
@split_byteorder@
type T;
identifier v, m, n;
identifier convert = {ntohs, ntohl, be16_to_cpu, be32_to_cpu, be64_to_cpu};
expression p, e;
statement S, first;
@@
- T v = convert(\(e\&\(p->m\|p->m.n\)\));
+ T v = e;
  ... when != S
++ v = convert(v);
  first
