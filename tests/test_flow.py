"""Order, guards and writes inside one function."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpffix.analysis.flow import Effect, Flow, Step, same_expression
from ebpffix.frontend import Node, Unit
from ebpffix.frontend.environment import Setup
from ebpffix.frontend.parse import parse
from ebpffix.sources.reach import Reach
from ebpffix.sources.source import Source

PRELUDE = b"""
struct val { int n; int a[4]; struct val *next; };
struct val *get(const int *); void put(struct val *); void see(const struct val *);
void a(void); void b(void); void c(void); int test(void); void fill(int *);
void bpf_perf_event_output(void *);
void f(struct val *v, int x, int k)
"""


def flow_of(body: str) -> Flow:
    path = Path("/nowhere/flow.c")
    source = Source(path, PRELUDE + body.encode())
    parsed = parse(
        source, Setup(("-target", "bpf", "-std=gnu11", "-w"), Reach(path.parent)), {str(path): source.data}, pch=None
    )
    assert not parsed.errors, parsed.errors
    unit = Unit(path, "libbpf", parsed, {path: source})
    return Flow(unit.functions[-1])


def call(flow: Flow, name: str) -> Step:
    node = next(n for n in flow.function.find("CALL_EXPR") if n.name == name)
    step = flow.step(node)
    assert step is not None
    return step


def variable(flow: Flow, name: str) -> int:
    return next(n.decl for n in flow.function.find("PARM_DECL", "VAR_DECL") if n.name == name)


@pytest.mark.parametrize(
    ("body", "dominates"),
    [
        ("{ a(); b(); }", True),
        ("{ b(); a(); }", False),
        ("{ if (x) a(); b(); }", False),
        ("{ if (x) { a(); b(); } }", True),
        ("{ if (x) a(); else return; b(); }", True),
        ("{ if (x) goto out; a(); out: b(); }", False),
        ("{ if (x) { a(); goto out; } return; out: b(); }", True),
        ("{ while (x) a(); b(); }", False),
        ("{ while (1) { a(); if (x) break; } b(); }", True),
        ("{ do a(); while (x); b(); }", True),
        ("{ do { if (x) continue; a(); } while (x); b(); }", False),
        ("{ for (int i = 0; i < 3; i++) a(); b(); }", False),
        ("{ for (;;) { if (x) break; a(); } b(); }", False),
        ("{ switch (x) { case 1: a(); case 2: b(); } }", False),
        ("{ switch (x) { case 1: a(); b(); } }", True),
        ("{ switch (x) { case 1: a(); break; default: return; } b(); }", False),  # known to be careful
    ],
)
def test_dominance(body: str, dominates: bool) -> None:
    flow = flow_of(body)
    assert not flow.opaque
    assert flow.dominates(call(flow, "a"), call(flow, "b")) is dominates


@pytest.mark.parametrize(
    ("body", "between"),
    [
        ("{ a(); b(); c(); }", False),
        ("{ c(); a(); b(); }", False),
        ("{ a(); c(); b(); }", True),
        ("{ a(); if (x) { c(); return; } b(); }", False),
        ("{ a(); if (x) c(); b(); }", True),
        ("{ while (x) { a(); b(); c(); } }", False),  # the next b() has an a() of its own
        ("{ a(); while (x) { b(); c(); } }", True),  # through the back edge
        ("{ a(); again: b(); if (x) { c(); goto again; } }", True),
        ("{ a(); for (;; c()) { if (x) { b(); break; } } }", True),
        ("{ a(); for (;; c()) { b(); break; } }", False),
        ("{ a(); for (; test() ;) { b(); break; c(); } }", False),
        ("{ a(); switch (x) { case 1: c(); case 2: b(); } }", True),
        ("{ a(); switch (x) { case 1: c(); break; case 2: b(); } }", False),
    ],
)
def test_between(body: str, between: bool) -> None:
    flow = flow_of(body)
    assert (call(flow, "c") in flow.between(call(flow, "a"), call(flow, "b"))) is between


def test_between_holds_the_second_step_where_it_comes_again() -> None:
    flow = flow_of("{ a(); while (x) b(); }")
    assert call(flow, "b") in flow.between(call(flow, "a"), call(flow, "b"))


def test_paths_can_avoid_a_step() -> None:
    flow = flow_of("{ a(); if (x) { c(); put(v); } b(); }")
    found = flow.between(call(flow, "a"), call(flow, "b"), avoiding=[call(flow, "put")])
    assert not found & {call(flow, "c"), call(flow, "put")}


@pytest.mark.parametrize(
    ("body", "checked"),
    [
        ("{ v = get(&k); b(); }", False),
        ("{ v = get(&k); if (!v) return; b(); }", True),
        ("{ v = get(&k); if (v) b(); }", True),
        ("{ v = get(&k); if (v == 0) return; b(); }", True),
        ("{ v = get(&k); if ((void *)0 != v) b(); }", True),
        ("{ v = get(&k); if (v == 0) b(); }", False),
        ("{ v = get(&k); if (!v) b(); }", False),
        ("{ v = get(&k); if (v && v->n) b(); }", True),
        ("{ v = get(&k); if (v || x) b(); }", False),
        ("{ v = get(&k); if (!v || !v->n) return; b(); }", True),
        ("{ if ((v = get(&k))) b(); }", True),
        ("{ if (!(v = get(&k))) return; b(); }", True),
        ("{ if ((v = get(&k)) != 0 && x) b(); }", True),
        ("{ v = get(&k); if (__builtin_expect(!!(v), 1)) b(); }", True),
        ("{ v = get(&k); if (!v) goto out; b(); out: return; }", True),
        ("{ v = get(&k); if (!v) goto out; a(); out: b(); }", False),
        ("{ v = get(&k); if (x) { if (!v) return; } b(); }", False),
        ("{ v = get(&k); while (v) { b(); break; } }", True),
        ("{ v = get(&k); if (v->next) b(); }", False),
    ],
)
def test_null_checks(body: str, checked: bool) -> None:
    flow = flow_of(body)
    gates = flow.non_null(variable(flow, "v"))
    assert flow.always_through(call(flow, "get"), call(flow, "b"), gates) is checked


@pytest.mark.parametrize(
    ("body", "effect", "through", "may_write"),
    [
        ("{ x = v->n; }", Effect.READ, True, False),
        ("{ v->n = 1; }", Effect.WRITE, True, True),
        ("{ v->n++; }", Effect.WRITE, True, True),
        ("{ v->a[x] += 2; }", Effect.WRITE, True, True),
        ("{ (*v).n = 1; }", Effect.WRITE, True, True),
        ("{ v[0].n = 1; }", Effect.WRITE, True, True),
        ("{ v->next->n = 1; }", Effect.READ, True, False),
        ("{ x = *(int *)v; }", Effect.READ, True, False),
        ("{ *(int *)(v + 1) = 4; }", Effect.WRITE, True, True),
        ("{ put(v); }", Effect.PASS, True, True),
        ("{ see(v); }", Effect.PASS, True, False),
        ("{ fill(&v->n); }", Effect.PASS, True, True),
        ("{ fill(v->a); }", Effect.PASS, True, True),
        ("{ fill((int *)&v->a); }", Effect.PASS, True, True),
        ("{ __builtin_memset(v->a, 0, 4); }", Effect.PASS, True, True),
        ("{ __builtin_memcpy(&x, v, 4); }", Effect.PASS, True, False),
        ("{ bpf_perf_event_output(v); }", Effect.PASS, True, False),
        ("{ put(v->next); }", Effect.READ, True, False),
        ("{ struct val *w = v; }", Effect.ESCAPE, True, True),
        ("{ int *p = &v->n; }", Effect.ESCAPE, True, True),
        ("{ struct val w = *v; }", Effect.READ, True, False),
        ("{ struct val **w = &v; }", Effect.ESCAPE, False, True),
        ("{ v = 0; }", Effect.WRITE, False, True),
        ("{ v++; }", Effect.WRITE, False, True),
        ("{ if (v) a(); }", Effect.READ, True, False),
        ("{ x = v && test(); }", Effect.READ, True, False),
        ("{ (void)v; }", Effect.READ, True, False),
        ("{ v = x ? v : 0; }", Effect.ESCAPE, True, True),
        ("{ ({ v; }); }", Effect.ESCAPE, True, True),
        ('{ asm volatile("" : "+r"(v)); }', Effect.WRITE, False, True),
    ],
)
def test_uses_of_a_pointer(body: str, effect: Effect, through: bool, may_write: bool) -> None:
    flow = flow_of(body)
    use = flow.uses(variable(flow, "v"))[-1]
    assert (use.effect, use.through, use.may_write) == (effect, through, may_write)


@pytest.mark.parametrize(
    ("body", "effect"),
    [
        ("{ struct val s; x = s.n; }", Effect.READ),
        ("{ struct val s; s.n = 1; }", Effect.WRITE),
        ("{ struct val s; s.a[1]--; }", Effect.WRITE),
        ("{ struct val s; put(&s); }", Effect.PASS),
        ("{ struct val s; fill(s.a); }", Effect.PASS),
        ("{ struct val s; fill(&s.a[2]); }", Effect.PASS),
        ("{ struct val s; s.next->n = 1; }", Effect.READ),
        ("{ struct val s; struct val *p = &s; }", Effect.ESCAPE),
        ("{ int s[3]; int *p = s; }", Effect.ESCAPE),
        ("{ int s[3]; s[1] = 2; }", Effect.WRITE),
    ],
)
def test_uses_of_an_object(body: str, effect: Effect) -> None:
    flow = flow_of(body)
    use = flow.uses(variable(flow, "s"))[-1]
    assert (use.effect, use.through) == (effect, False)


def test_sizeof_uses_nothing() -> None:
    flow = flow_of("{ x = sizeof(*v); }")
    assert flow.uses(variable(flow, "v")) == []


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("{ b(); }", ["entry"]),
        ("{ v = 0; b(); }", ["v = 0"]),
        ("{ v = 0; v = get(&k); b(); }", ["v = get(&k)"]),
        ("{ v = 0; if (x) v = get(&k); b(); }", ["v = 0", "v = get(&k)"]),
        ("{ if (x) v = 0; b(); }", ["entry", "v = 0"]),
        ("{ v = 0; while (x) { b(); v = get(&k); } }", ["v = 0", "v = get(&k)"]),
        ("{ v = 0; goto out; v = get(&k); out: b(); }", ["v = 0"]),
    ],
)
def test_definitions(body: str, lines: list[str]) -> None:
    flow = flow_of(body)
    found = flow.definitions(call(flow, "b"), variable(flow, "v"))
    assert sorted(s.node.text.decode() if s.node else "entry" for s in found) == lines


def test_what_cannot_be_ordered_is_opaque() -> None:
    assert flow_of("{ void *p = &&out; goto *p; out: a(); }").opaque
    assert flow_of('{ asm goto("" : : : : out); out: a(); }').opaque
    macro = "{\n#define EACH(i) for (int i = 0; i < 3;)\nEACH(i) { i++; } }"
    assert flow_of(macro).opaque


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        ("{ v = get(&k); }", "get(&k)"),
        ("{ v = (struct val *)get(&k); }", "get(&k)"),
        ("{ if ((v = get(&k)) != 0) a(); }", "get(&k)"),
        ("{ struct val *w = v = get(&k); }", None),
        ("{ x = test() && (v = get(&k)); }", None),
        ("{ v += 1; get(&k); }", None),
    ],
)
def test_given(body: str, expression: str | None) -> None:
    flow = flow_of(body)
    given = flow.given(call(flow, "get"), variable(flow, "v"))
    assert (given.text.decode() if given else None) == expression


@pytest.mark.parametrize(
    ("pointer", "between", "may_change"),
    [
        ("&k", "a();", False),
        ("&k", "k = 1;", True),
        ("&k", "fill(&k);", True),
        ("&k", "v->n = 1;", False),
        ("&v->n", "v = 0;", True),
        ("&v->n", "v->a[0] = 1;", True),
        ("&v->n", "w->a[0] = 1;", True),  # an int too
        ("&v->n", "w->next = 0;", False),
        ("&v->n", "put(w);", True),
        ("&v->n", "see(w);", False),
        ("&v->next->n", "a();", True),  # where next points is not followed
        ("&v->a[x]", "x++;", True),
        ("&v->a[x]", "k++;", False),
    ],
)
def test_may_change(pointer: str, between: str, may_change: bool) -> None:
    flow = flow_of("{ struct val *w; w = get(&k); a(); %s b(); __builtin_prefetch(%s); }" % (between, pointer))  # noqa: UP031
    node = next(n for n in flow.function.find("CALL_EXPR") if n.name == "__builtin_prefetch").arguments[0]
    steps = flow.between(call(flow, "a"), call(flow, "b"))
    assert flow.may_change(node, steps, lambda use: False, apart=variable(flow, "w")) is may_change


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("&k", "&k", True),
        ("&k", "(&(k))", True),
        ("&k", "(const void *)&k", True),
        ("&k", "&x", False),
        ("&v->n", "&v->n", True),
        ("&v->a[1]", "&v->a[2]", False),
        ("&v->a[x]", "&v->a[x]", True),
        ("&v->a[x++]", "&v->a[x++]", False),
        ("&v->a[test()]", "&v->a[test()]", False),
        ("&v->n", "&v->next->n", False),
        ("v + 1", "v - 1", False),
    ],
)
def test_same_expression(first: str, second: str, same: bool) -> None:
    flow = flow_of("{ __builtin_prefetch(%s); __builtin_prefetch(%s); }" % (first, second))  # noqa: UP031

    def argument(node: Node) -> Node:
        return node.arguments[0]

    one, two = (argument(n) for n in flow.function.find("CALL_EXPR") if n.name == "__builtin_prefetch")
    assert same_expression(one, two) is same


def test_a_statement_with_an_attribute_is_looked_into() -> None:
    flow = flow_of("{\n#pragma clang loop unroll(full)\nfor (int i = 0; i < 4; i++) { if (x) return; a(); }\nb(); }")
    assert call(flow, "a") in flow.reachable(call(flow, "a"))
    assert not flow.dominates(call(flow, "a"), call(flow, "b"))
