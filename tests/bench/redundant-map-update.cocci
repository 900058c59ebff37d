// What lookup returned is the entry itself: writing it back is needless. Found first, then deleted: a place that
// several paths reach is deleted once.
@written_back exists@
expression map, key, value, other;
type T;
identifier v;
position p;
@@
(
  value = bpf_map_lookup_elem(map, key);
  ... when != value = other
      when != key = other
      when != bpf_map_delete_elem(map, key)
      when any
  bpf_map_update_elem@p(map, key, value, \(BPF_ANY\|BPF_EXIST\|0\));
|
  T v = bpf_map_lookup_elem(map, key);
  ... when != v = other
      when != key = other
      when != bpf_map_delete_elem(map, key)
      when any
  bpf_map_update_elem@p(map, key, v, \(BPF_ANY\|BPF_EXIST\|0\));
)

@redundant_map_update@
position written_back.p;
@@
- bpf_map_update_elem@p(...);
