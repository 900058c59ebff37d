// An object that goes to a helper, and whose initialiser leaves padding in: cleared, then set member by member.
// Without the layout of types no rule can tell a padded structure from another.
@escapes@
identifier v;
@@
  \(bpf_map_lookup_elem\|bpf_map_update_elem\|bpf_perf_event_output\|bpf_ringbuf_output\)(..., &v, ...)

// A pattern of one member matches each member of a longer initialiser in turn.
@set@
identifier s, escapes.v, f;
expression e;
statement S, first;
@@
  struct s v = { .f = e };
  ... when != S
++ v.f = e;
  first

@padded_init depends on set@
identifier s, escapes.v;
statement S, first;
@@
- struct s v = { ... };
+ struct s v;
  ... when != S
++ __builtin_memset(&v, 0, sizeof(v));
  first
