"""split-byteorder: what fixtures cannot say: messages, reasons, places, and shapes too small for a program each."""

from __future__ import annotations

import pytest
from support import findings, fixed

from ebpffix.fix import BCC, Fix, Safety

NAME = "split-byteorder"
DPORT = "sk->__sk_common.skc_dport"


def program(body: str, parameters: str = "struct pt_regs *ctx, struct sock *sk", before: str = "") -> bytes:
    return f"{before}\nint probe({parameters})\n{{\n{body}\n    return 0;\n}}\n".encode()


def found(body: str, **more: str) -> list[Fix]:
    return findings(program(body, **more), NAME, dialect=BCC)


def body_after(body: str, **more: str) -> str:
    text = fixed(program(body, **more), NAME, dialect=BCC).decode()
    return text.partition("{\n")[2].rpartition("\n    return 0;")[0]


@pytest.mark.parametrize(
    "body",
    [
        f"    u16 dport = {DPORT};",
        f"    u16 dport = bpf_ntohs({DPORT});",
        f"    u32 size = max_t(u32, sizeof({DPORT}), 3);",
        f"    void *at = container_of(&{DPORT}, struct sock, __sk_common);",
        f"    typeof(({DPORT})) dport = ntohs(3);",
        f"    likely({DPORT} = 3);",
        "    u32 first = min_t(u32, ctx->di, 3);",
        "    bool bad = IS_ERR(sk->__sk_common.skc_prot);",  # a function in the kernel
        "    u32 first = ntohs(PT_REGS_PARM1(ctx));",
        "    u32 *words = likely(1) ? 0 : max(sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32, 0);",
        "    struct sock local = {}; struct sock *p = &local; u16 d = ntohs(p->__sk_common.skc_dport);",
    ],
)
def test_left_alone(body: str) -> None:
    assert not found(body)


@pytest.mark.parametrize(
    "head",
    [
        "TRACEPOINT_PROBE(sock, inet_sock_set_state) { return ntohs(args->dport); }",
        "KFUNC_PROBE(tcp_connect, struct sock *sk) { return ntohs(sk->__sk_common.skc_dport); }",
        "int lost(void *unknown) { struct sock *sk = unknown; return ntohs(sk->__sk_common.skc_dport); }",
        "#define UNUSED(s) ntohs((s)->__sk_common.skc_dport)",
    ],
)
def test_other_programs_are_left_alone(head: str) -> None:
    assert not findings(head.encode() + b"\n", NAME, dialect=BCC)


def test_a_pointer_set_from_a_call_with_itself_is_left_alone() -> None:
    assert not found("    struct sk_buff *skb = lost(); skb = skb_get(skb); return ntohs(skb->network_header);")


def test_message_names_field_and_macro() -> None:
    (fix,) = found(f"    if (likely(ntohs({DPORT}) == 80)) return 1;")
    assert fix.message == (f"BCC does not rewrite `{DPORT}` inside `likely()`, a macro: read it into `dport` first")
    assert fix.safety is Safety.SAFE
    assert program(f"    if (likely(ntohs({DPORT}) == 80)) return 1;")[fix.at.start : fix.at.end] == DPORT.encode()


def test_each_access_is_found_once() -> None:
    # The macro's body mentions its argument three times.
    assert len(found(f"    u16 least = min({DPORT}, 3);")) == 1


def test_guard_is_named_as_the_reason() -> None:
    (fix,) = found(f"    return sk && likely({DPORT});")
    assert fix.safety is Safety.SUGGESTED
    assert fix.reason == "the field is then read also where the condition before it does not hold"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"    for (; likely({DPORT});) ;", "no statement"),
        ("    return likely(sk->sk_no_check_tx);", "bit-field"),
        ("    return likely(ip_hdr((struct sk_buff *)sk->sk_user_data)->ttl);", ""),
    ],
)
def test_advice(body: str, reason: str) -> None:
    for fix in found(body):
        assert fix.safety is Safety.ADVICE
        assert reason in fix.reason


def test_body_of_a_macro_is_named() -> None:
    (fix,) = found("    return ntohs(PORT(sk));", before="#define PORT(s) ((s)->__sk_common.skc_dport)")
    assert fix.safety is Safety.ADVICE
    assert fix.message.startswith("`PORT` reads kernel memory in its body")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        # The pointer changes within the statement: only in place.
        (
            "    struct sock *p; u16 d = (p = sk, 1) + ntohs(p->__sk_common.skc_dport);",
            "    struct sock *p; u16 d = (p = sk, 1) + bpf_ntohs(p->__sk_common.skc_dport);",
        ),
        # A variable that is too narrow for the field, or cannot be written again, does not hold it.
        (
            "    u8 low = ntohs(sk->__sk_common.skc_dport);",
            "    u16 dport = sk->__sk_common.skc_dport;\n    u8 low = ntohs(dport);",
        ),
        # Pointers and other types keep their own spelling.
        (
            "    struct proto *prot = likely(1) ? 0 : 0; prot = max(prot, sk->__sk_common.skc_prot);",
            "    struct proto *prot = likely(1) ? 0 : 0; struct proto *prot2 = sk->__sk_common.skc_prot; "
            "prot = max(prot, prot2);",
        ),
        # What is behind a plain label or a case cannot begin with a declaration.
        (
            "out:\n    return ntohs(sk->__sk_common.skc_dport);",
            "out:\n    return bpf_ntohs(sk->__sk_common.skc_dport);",
        ),
        # The macro stands alone as a statement.
        (
            "    SHOW(sk->__sk_common.skc_dport);",
            "    u16 dport = sk->__sk_common.skc_dport;\n    SHOW(dport);",
        ),
    ],
)
def test_result(body: str, wanted: str) -> None:
    before = '#define SHOW(x) do { int shown = (x); bpf_trace_printk("%d", shown); } while (0)'
    assert body_after(body, before=before) == wanted


def test_member_named_by_a_macro_gives_no_such_local() -> None:
    # `s6_addr32` is a macro itself.
    after = body_after("    u32 a = likely(sk->__sk_common.skc_v6_daddr.s6_addr32[1]);")
    assert after.startswith(
        "    u32 addr32;\n    bpf_probe_read_kernel(&addr32, sizeof(addr32), &sk->__sk_common.skc_v6_daddr."
    )


def test_a_tracepoints_pointer_is_read_explicitly() -> None:
    text = (
        b"TRACEPOINT_PROBE(sock, inet_sock_set_state) {\n"
        b"    struct sock *sk = (struct sock *)args->skaddr;\n"
        b"    u16 dport = ntohs(sk->__sk_common.skc_dport);\n    return dport;\n}\n"
    )
    after = fixed(text, NAME, dialect=BCC)
    assert (
        b"bpf_probe_read_kernel(&dport, sizeof(dport), &sk->__sk_common.skc_dport);\n    dport = ntohs(dport);" in after
    )
