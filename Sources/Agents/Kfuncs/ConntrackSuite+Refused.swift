// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// An argument of another type than the function's.
///
/// - Parameter argument: counted from 0.
func wrongType(_ function: String, argument: Int = 0, _ expected: String, but found: String) -> Rejection {
    Rejection(
        .EINVAL,
        "kernel function \(function) args#\(argument) expected pointer to STRUCT \(expected) but R\(argument + 1) has a "
            + "pointer to STRUCT \(found)"
    ).then(
        .v7_2, .EINVAL,
        "kernel function \(function) R\(argument + 1) expected pointer to STRUCT \(expected) but R\(argument + 1) has a "
            + "pointer to STRUCT \(found)")
}

private let noWrite = Rejection(.EACCES, "no write support to nf_conn at off")

/// tests-bpf/kfuncs/ct_fail.bpf.c, program by program.
let refusedConntrackPrograms: [Refused] = [
    Refused(
        "K-085", "an entry that was only allocated is not released: it must be inserted", "release_of_allocated",
        since: "6.1", wrongType("bpf_ct_release", "nf_conn", but: "nf_conn___init")),
    Refused(
        "K-086.twice", "an entry is inserted once", "insert_twice", since: "6.1",
        wrongType("bpf_ct_insert_entry", "nf_conn___init", but: "nf_conn")),
    Refused(
        "K-086.found", "an entry that was found is not inserted", "insert_of_found", since: "6.1",
        wrongType("bpf_ct_insert_entry", "nf_conn___init", but: "nf_conn")),
    Refused(
        "K-087.set_after", "bpf_ct_set_timeout is for entries not inserted yet", "set_timeout_after_insert",
        since: "6.1", wrongType("bpf_ct_set_timeout", "nf_conn___init", but: "nf_conn")),
    Refused(
        "K-087.set_status_after", "bpf_ct_set_status is for entries not inserted yet", "set_status_after_insert",
        since: "6.1", wrongType("bpf_ct_set_status", "nf_conn___init", but: "nf_conn")),
    Refused(
        "K-087.change_before", "bpf_ct_change_timeout is for entries in the table", "change_timeout_before_insert",
        since: "6.1", wrongType("bpf_ct_change_timeout", "nf_conn", but: "nf_conn___init")),
    Refused(
        "K-087.change_status_before", "bpf_ct_change_status is for entries in the table",
        "change_status_before_insert", since: "6.1",
        wrongType("bpf_ct_change_status", "nf_conn", but: "nf_conn___init")),
    Refused(
        "K-087.nat_after", "bpf_ct_set_nat_info is for entries not inserted yet", "nat_after_insert", since: "6.1",
        needs: [Features.conntrackNAT], wrongType("bpf_ct_set_nat_info", "nf_conn___init", but: "nf_conn")),
    Refused("K-088", "an entry's status is not written directly", "write_status", since: "6.1", noWrite),
    Refused(
        "K-088.timeout", "the timeout of an entry not inserted yet is not written directly",
        "write_timeout_of_allocated", since: "6.1", noWrite),
    Refused(
        "K-089.beyond", "a write to the mark stays inside the mark", "write_beyond_mark", since: "6.1",
        Rejection(.EACCES, "beyond the member of nf_conn ended at")),
    Refused("K-091", "an entry that was found must be released", "leak_found", since: "6.1", .leak),
    Refused("K-091.allocated", "an entry that was allocated must be inserted", "leak_allocated", since: "6.1", .leak),
    Refused("K-091.inserted", "an entry that was inserted must be released", "leak_inserted", since: "6.1", .leak),
    Refused(
        "K-091.null", "what bpf_skb_ct_lookup returns may be NULL", "release_unchecked", since: "6.1",
        Rejection(.EINVAL, "arg#0 pointer type STRUCT nf_conn must point to scalar", from: .v6_1)
            .then(.v6_12, .EACCES, "Possibly NULL pointer passed to trusted arg0")
            .then(.v7_2, .EACCES, "Possibly NULL pointer passed to trusted R1")),
    Refused(
        "K-084.context", "the stack is no context", "no_context", since: "6.1",
        Rejection(.EINVAL, "arg#0 expected pointer to ctx, but got")
            .then(.v7_2, .EINVAL, "R1 expected pointer to ctx, but got")),
    Refused(
        "K-090.long", "options are as long as they are said to be", "options_too_long", since: "6.1",
        Rejection(.EINVAL, "arg#3 arg#4 memory, len pair leads to invalid memory access")
            .then(.v7_2, .EINVAL, "R4 and R5 memory, len pair leads to invalid memory access")),
    Refused(
        "K-087.scalar", "a pointer is no number of milliseconds", "timeout_is_pointer", since: "6.1",
        Rejection(.EINVAL, "R2 is not a scalar")),
    Refused(
        "K-084.socket", "socket filters find no connections", "lookup_in_socket_filter", since: "6.1",
        .notAllowed("bpf_skb_ct_lookup")),
]
