// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// tests-bpf/kptr/lists_fail.bpf.c and stash_fail.bpf.c, program by program.
let refusedLocalPrograms: [Case] =
    (objects + directAccess + listsAndTrees + tracing).map { $0.asCase("kptr/lists_fail.bpf.o", needs: localNeeds) }
    + stash.map { $0.asCase("kptr/stash_fail.bpf.o", needs: localNeeds) } + [dropInTracing]

private let objects: [Refused] = [
    Refused("P-043.leak", "an object must be dropped or given away", "leak", .leak),
    Refused(
        "P-043.null", "bpf_obj_new may return NULL", "write_untested",
        Rejection(.EACCES, "R0 invalid mem access 'ptr_or_null_'")),
    Refused(
        "P-043.use", "an object is not used after it was dropped", "use_after_drop",
        Rejection(.EACCES, "invalid mem access 'scalar'")),
    Refused("P-043.share", "a share must be dropped or given away", "leak_share", .leak),
    Refused(
        "P-044", "an object is dropped by its own address, not by one inside", "drop_inside",
        Rejection(.EINVAL, "R1 must have zero offset when passed to release func")),
    Refused(
        "P-045.union", "no object is made of a union", "new_union",
        Rejection(.EINVAL, "type ID argument must be of a struct")),
    Refused(
        "P-045.int", "no object is made of an integer", "new_integer",
        Rejection(.EINVAL, "type ID argument must be of a struct")),
    Refused(
        "P-058.owned", "a share of what a tree owns may be NULL", "share_untested", .sharePossiblyNull),
    Refused(
        "P-059", "there are shares of objects alone", "share_context",
        Rejection(.EINVAL, "arg#0 is neither owning or non-owning ref")
            .then(.v7_2, .EINVAL, "R1 is neither owning or non-owning ref")),
]

/// tests-bpf/kptr/stash_fail.bpf.c.
private let stash: [Refused] = [
    Refused(
        "P-058.rcu", "a share of what is read from a field may be NULL", "share_of_stashed_untested",
        .sharePossiblyNull),
    Refused(
        "P-061", "an object goes into a field of its own type, not of one that looks the same", "stash_namesake",
        Rejection(.EACCES, "invalid kptr access, R2 type=ptr_kept_namesake expected=ptr_kept_node")),
]

private let directAccess: [Refused] = [
    ("lock", "bpf_spin_lock"), ("head", "bpf_list_head"), ("list_node", "bpf_list_node"),
    ("tree_node", "bpf_rb_node"), ("refcount", "bpf_refcount"),
].flatMap { field, type in
    [("", "read"), ("_write", "written")].map { suffix, what in
        Refused(
            "P-046.\(field)\(suffix)", "a \(type) in an object is not \(what)", "touch_\(field)\(suffix)",
            Rejection(.EACCES, "direct access to \(type) is disallowed"))
    }
}

private let listsAndTrees: [Refused] = [
    Refused(
        "P-047.push", "nothing is pushed without the list's lock", "push_unlocked",
        Rejection(.EINVAL, "bpf_spin_lock at off=0 must be held for bpf_list_head")),
    Refused(
        "P-047.pop", "nothing is popped without the list's lock", "pop_unlocked",
        Rejection(.EINVAL, "bpf_spin_lock at off=0 must be held for bpf_list_head")),
    Refused(
        "P-047.tree", "nothing is inserted without the tree's lock", "insert_unlocked",
        Rejection(.EINVAL, "bpf_spin_lock at off=0 must be held for bpf_rb_root")),
    Refused(
        "P-048", "an object is pushed once", "push_again",
        Rejection(.EINVAL, "arg#1 expected pointer to allocated object")
            .then(.v7_2, .EINVAL, "R2 expected pointer to allocated object")),
    Refused(
        "P-049", "an object that a list owns is not used without the lock", "use_after_unlock",
        Rejection(.EACCES, "invalid mem access 'scalar'")),
    Refused(
        "P-050", "the lock of one value is not for the list of another", "push_under_other_lock",
        Rejection(.EINVAL, "held lock and object are not in the same allocation")),
    Refused(
        "P-054.unlock", "the function that orders a tree does not unlock", "insert_with_less_that_unlocks",
        Rejection(.EACCES, "can't spin_{lock,unlock} in rbtree cb")),
    Refused(
        "P-054.lock", "the function that orders a tree does not lock", "insert_with_less_that_locks",
        Rejection(.EINVAL, "function calls are not allowed while holding a lock")),
    Refused(
        "P-054.add", "the function that orders a tree inserts nothing", "insert_with_less_that_adds",
        Rejection(.EINVAL, "arg#1 expected pointer to allocated object")
            .then(.v7_2, .EINVAL, "R2 expected pointer to allocated object")),
    Refused(
        "P-054.remove", "the function that orders a tree removes nothing", "insert_with_less_that_removes",
        Rejection(.EINVAL, "rbtree_remove not allowed in rbtree cb")),
    Refused(
        "P-054.rcu", "the function that orders a tree begins no RCU section", "insert_with_less_in_section",
        Rejection(.EINVAL, "function calls are not allowed while holding a lock")),
    Refused(
        "P-056", "what is removed from a tree may be NULL", "insert_untested",
        Rejection(.EACCES, "dereference of modified ptr_or_null_ ptr R2 off=24 disallowed")
            .then(.v7_2, .EACCES, "Possibly NULL pointer passed to trusted R2")),
    Refused("P-056.leak", "what is removed from a tree must be dropped", "remove_and_leak", .leak),
    Refused(
        "P-073.del", "nothing is taken from a list's middle without its lock", "del_unlocked", since: "7.2",
        needs: [Features.listDel],
        Rejection(.EINVAL, "bpf_spin_lock at off=0 must be held for bpf_list_head", from: .v7_2)),
    Refused(
        "P-073.add", "nothing is put into a list's middle without its lock", "add_unlocked", since: "7.2",
        needs: [Features.listDel],
        Rejection(.EINVAL, "bpf_spin_lock at off=0 must be held for bpf_list_head", from: .v7_2)),
]

private let tracing: [Refused] =
    ["kprobe", "tracepoint", "perf_event", "raw_tracepoint"].map { kind in
        Refused(
            "P-063.\(kind)", "\(kind) programs use no map with a list in it", "list_in_\(kind)",
            Rejection(.EINVAL, "tracing progs cannot use bpf_{list_head,rb_root} yet"))
    }

/// What dropping does is not safe in an NMI, where tracing programs may run.
private let dropInTracing = Case(
    "P-064", "tracing programs drop objects with fields up to 6.18, and not from 7.2 on", since: "6.12",
    needs: localNeeds
) { test in
    let (object, program) = ("kptr/lists_fail.bpf.o", "drop_in_tracing")
    if KernelRelease.running <= KernelRelease(6, 18) {
        let references = try References(test)
        _ = try BPFObject(object, programs: [program])
        try references.expect(0, "by a program that was loaded and not run")
    } else if KernelRelease.running >= .v7_2 {
        test.expect(
            object, program: program,
            refused: Rejection(
                .EINVAL, "cannot be used in tracing programs on types with NMI unsafe fields", from: .v7_2)
        )
    } else {
        throw test.skip("which of 6.19 to 7.1 began to refuse it is not known")
    }
}

extension Rejection {
    fileprivate static let sharePossiblyNull = Rejection(.EACCES, "Possibly NULL pointer passed to")
}
