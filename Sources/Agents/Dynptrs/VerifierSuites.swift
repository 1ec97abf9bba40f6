// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

private let helpers = "dynptr/memory_fail.bpf.o"
private let kfuncs = "dynptr/ops_fail.bpf.o"
private let iters = "iters/iters_fail.bpf.o"

extension Rejection {
    /// 6.1 counts arguments from 1, 6.12 from 0, 7.x names registers.
    fileprivate static func notADynptr(argument: Int) -> Rejection {
        Rejection(.EINVAL, "Expected an initialized dynptr as arg #\(argument)", from: .v6_1)
            .then(.v6_12, .EINVAL, "Expected an initialized dynptr as arg #\(argument - 1)")
            .then(.v7_2, .EINVAL, "Expected an initialized dynptr as R\(argument)")
    }

    /// What is to be released was not acquired.
    fileprivate static let notAcquired = Rejection(.EINVAL, "arg 1 is an unacquired reference", from: .v6_1)
        .then(.v7_2, .EINVAL, "Expected an initialized dynptr as R1")

    /// 6.1 lets it be written over, and finds no dynptr where it is to be released.
    fileprivate static let overwrites = Rejection(
        .EINVAL, "Expected an initialized dynptr as arg #1", from: .v6_1
    ).then(.v6_12, .EINVAL, "cannot overwrite referenced dynptr")

    fileprivate static let helperOverwrites = Rejection(
        .EINVAL, "Expected an initialized dynptr as arg #1", from: .v6_1
    )
    .then(.v6_12, .EACCES, "potential write to dynptr at off=-16")
    .then(.v7_3, .EINVAL, "cannot overwrite referenced dynptr")

    /// A pointer that was, and is a number now.
    fileprivate static let scalar = Rejection(.EACCES, "invalid mem access 'scalar'", from: .v6_1)
    fileprivate static let maybeNull = Rejection(.EACCES, "invalid mem access 'mem_or_null'", from: .v6_1)
    fileprivate static let outside = Rejection(
        .EACCES, "outside of the allowed memory range", from: .v6_1)
    fileprivate static let leaks = Rejection(.EINVAL, "Unreleased reference", from: .v6_1)

    fileprivate static func noIterator(_ kind: String = "num") -> Rejection {
        Rejection(.EINVAL, "expected an initialized iter_\(kind) as arg #0")
            .then(.v7_2, .EINVAL, "expected an initialized iter_\(kind) as R1")
    }

    fileprivate static func outsideRCU(_ function: String) -> Rejection {
        Rejection(.EPROTO, "expected an RCU CS when using \(function)next")
    }

    fileprivate static func notSleepable(_ function: String) -> Rejection {
        Rejection(.EACCES, "program must be sleepable to call sleepable kfunc \(function)", from: .v7_2)
    }
}

/// tests-bpf/dynptr/memory_fail.bpf.c, program by program.
private let refusedByHelpers: [Refused] = [
    Refused(
        "D-003", "no dynptr is made of stack memory", "from_stack", since: "6.1",
        Rejection(.EACCES, "Unsupported reg type fp for bpf_dynptr_from_mem data", from: .v6_1)),
    Refused(
        "D-004", "no dynptr is made of another's data", "from_slice", since: "6.1",
        Rejection(.EACCES, "Unsupported reg type mem for bpf_dynptr_from_mem data", from: .v6_1)),
    Refused(
        "D-001.room", "no dynptr is made of more than there is of the map's value", "from_too_much", since: "6.1",
        Rejection(.EACCES, "invalid access to map value", from: .v6_1)),
    Refused("D-010", "a reserved record must be ended", "leak", since: "6.1", .leaks),
    Refused(
        "D-010.failed", "a record must be ended even if reserving it failed", "leak_on_failure", since: "6.1", .leaks),
    Refused(
        "D-010.subprogram", "a record reserved in a function must be ended", "leak_in_function", since: "6.1", .leaks),
    Refused("D-010.callback", "a record reserved in a callback must be ended", "callback_leaks", since: "6.1", .leaks),
    Refused("D-012", "a record is submitted once", "submit_twice", since: "6.1", .notAcquired),
    Refused("D-012.discard", "a submitted record is not discarded", "discard_after_submit", since: "6.1", .notAcquired),
    Refused("D-012.none", "what was not reserved is not submitted", "submit_nothing", since: "6.1", .notAcquired),
    Refused(
        "D-012.local", "memory that is no record is not submitted", "submit_local", since: "6.1",
        Rejection(.EINVAL, "arg 1 is an unacquired reference", from: .v6_1)
            .then(.v7_2, .EINVAL, "Expected a dynptr of type ringbuf as R1")),
    Refused(
        "D-012.read", "a submitted record is not read", "read_after_submit", since: "6.1", .notADynptr(argument: 3)),
    Refused(
        "D-012.write", "what is no dynptr is not written to", "write_nothing", since: "6.1", .notADynptr(argument: 1)),
    Refused("D-013", "data of a record is gone once it is submitted", "data_after_submit", since: "6.1", .scalar),
    Refused("D-014", "data may be NULL", "data_untested", since: "6.1", .maybeNull),
    Refused("D-014.size", "data ends where it was asked to", "data_too_far", since: "6.1", .outside),
    Refused(
        "D-015", "a dynptr is passed by its start", "at_an_offset", since: "6.1",
        Rejection(.EINVAL, "Expected an initialized dynptr as arg #3", from: .v6_1)
            .then(.v6_12, .EINVAL, "cannot pass in dynptr at an offset")),
    Refused(
        "D-015.variable", "which dynptr is passed must be known", "at_any_offset", since: "6.3",
        needs: [Features.slice],
        Rejection(.EINVAL, "dynptr has to be at a constant offset", from: .v6_1)),
    Refused(
        "D-015.global", "a dynptr is on the stack", "in_a_global", since: "6.1",
        Rejection(.EACCES, "type=map_value expected=fp", from: .v6_1)),
    Refused(
        "D-016", "a record's dynptr is not overwritten, first half", "overwrite_first_half", since: "6.1", .overwrites),
    Refused(
        "D-016.second", "a record's dynptr is not overwritten, second half", "overwrite_second_half", since: "6.1",
        .overwrites),
    Refused(
        "D-016.byte", "a record's dynptr is not overwritten by a byte", "overwrite_one_byte", since: "6.1", .overwrites),
    Refused(
        "D-016.new", "no dynptr is made where a record's is", "make_over_referenced", since: "6.1",
        Rejection(.EINVAL, "Dynptr has to be an uninitialized dynptr", from: .v6_1)
            .then(.v6_12, .EINVAL, "cannot overwrite referenced dynptr")),
    Refused(
        "D-017.use", "a dynptr that was overwritten is none", "use_overwritten", since: "6.1", .notADynptr(argument: 3)),
    Refused(
        "D-017.data", "data goes with the dynptr whose place is used again", "data_of_overwritten", since: "6.3",
        needs: [Features.slice],
        .scalar),
    Refused("D-018", "no helper writes over a record's dynptr", "helper_writes_over", .helperOverwrites),
    Refused("D-018.read", "a record is not read into its own dynptr", "read_into_itself", .helperOverwrites),
    Refused(
        "D-019", "a dynptr is not stored in a map", "into_a_map", since: "6.1",
        Rejection(.EACCES, "invalid indirect read from stack", from: .v6_1)
            .then(.v7_2, .EACCES, "invalid read from stack")),
    Refused(
        "D-019.read", "programs do not look into a dynptr", "look_inside", since: "6.1",
        Rejection(.EACCES, "invalid read from stack", from: .v6_1)),
    Refused(
        "D-039.discard", "the callback does not end a user's record", "callback_discards", since: "6.1",
        needs: [Features.userRing],
        Rejection(.EINVAL, "arg 1 is an unacquired reference", from: .v6_1)
            .then(.v6_12, .EINVAL, "cannot release unowned const bpf_dynptr")
            .then(.v7_2, .EINVAL, "CONST_PTR_TO_DYNPTR cannot be released")),
    Refused(
        "D-039.remake", "the callback does not make a user's record anew", "callback_remakes", since: "6.3",
        needs: [Features.userRing, Features.slice],
        Rejection(.EINVAL, "Dynptr has to be an uninitialized dynptr", from: .v6_1)),
    Refused(
        "D-039.store", "the callback does not write into the dynptr", "callback_stores", since: "6.1",
        needs: [Features.userRing], Rejection(.EACCES, "invalid mem access 'dynptr_ptr'", from: .v6_1)),
    Refused(
        "D-039.move", "the callback passes the dynptr by its start", "callback_moves", since: "6.1",
        needs: [Features.userRing],
        Rejection(.EACCES, "dereference of modified dynptr_ptr ptr", from: .v6_1)),
    Refused(
        "D-039.data", "data of a user's record may be NULL", "callback_data_untested", since: "6.1",
        needs: [Features.userRing], .maybeNull),
]

/// tests-bpf/dynptr/ops_fail.bpf.c, program by program.
private let refusedByKfuncs: [Refused] = [
    Refused(
        "D-022", "no writable slice where packets are not written to", "rdwr_in_cgroup",
        Rejection(.EINVAL, "the prog does not allow writes to packet data")),
    Refused(
        "D-022.slice", "a slice that was not asked to be writable is not", "write_to_slice",
        Rejection(.EACCES, "cannot write into rdonly_mem")),
    Refused("D-023", "a slice is gone once the packet was written to", "slice_after_write", .scalar),
    Refused("D-023.rdwr", "a writable slice is gone once the packet was written to", "rdwr_after_write", .scalar),
    Refused("D-023.pull", "a slice is gone once the packet was pulled", "slice_after_pull", .scalar),
    Refused(
        "D-023.clone", "a slice is gone once the packet was written to through a clone", "slice_after_write_to_clone",
        .scalar),
    Refused(
        "D-023.xdp", "a slice is gone once the packet's head was moved", "slice_after_adjust_head",
        needs: [Features.fromXDP], .scalar),
    Refused(
        "D-024", "a slice's length has a bound", "unbounded_length",
        Rejection(.EACCES, "unbounded memory access").then(.v7_3, .EINVAL, "must be a known constant")),
    Refused(
        "D-024.constant", "a slice's length is a constant", "variable_length",
        Rejection(.EINVAL, "must be a known constant")),
    Refused(
        "D-024.buffer", "a slice's buffer is as large as the slice", "buffer_too_small",
        Rejection(.EACCES, "memory, len pair leads to invalid memory access")),
    Refused(
        "D-014.slice", "a slice may be NULL", "slice_untested",
        Rejection(.EACCES, "invalid mem access 'rdonly_mem_or_null'")),
    Refused("D-014.slice-size", "a slice ends where it was asked to", "slice_too_far", .outside),
    Refused("D-025", "XDP programs make no dynptr of an skb", "skb_in_xdp", .notAllowed("bpf_dynptr_from_skb")),
    Refused(
        "D-025.xdp", "raw tracepoints make no dynptr of an XDP packet", "xdp_in_raw_tp",
        needs: [Features.fromXDP], .notAllowed("bpf_dynptr_from_xdp")),
    Refused("D-029.none", "what is no dynptr has no view to change", "adjust_nothing", .notADynptr(argument: 1)),
    Refused("D-030.size", "what is no dynptr has no size", "size_of_nothing", .notADynptr(argument: 1)),
    Refused(
        "D-030.null", "what is no dynptr is not asked whether it is null", "is_nothing_null", .notADynptr(argument: 1)),
    Refused(
        "D-030.rdonly", "what is no dynptr is not asked whether it is read-only", "is_nothing_rdonly",
        .notADynptr(argument: 1)),
    Refused("D-031.none", "what is no dynptr is not cloned", "clone_nothing", .notADynptr(argument: 1)),
    Refused("D-031.place", "no clone is made where a record's dynptr is", "clone_onto_referenced", .overwrites),
    Refused("D-032", "a record's clone ends with the record", "clone_after_submit", .notADynptr(argument: 3)),
    Refused(
        "D-032.parent", "a record ends with its clone's submission", "parent_after_clone_submits",
        .notADynptr(argument: 3)),
    Refused("D-032.sibling", "all clones of a record end with it", "sibling_after_submit", .notADynptr(argument: 3)),
    Refused(
        "D-032.data", "data of a record's clone is gone once the record is submitted", "clone_data_after_submit",
        .scalar),
    Refused("D-032.again", "a record and its clone are not both submitted", "clone_submits_again", .notAcquired),
    Refused("D-032.leak", "a record with a clone must be ended", "clone_leaks", .leak),
    Refused("D-033.last", "the last dynptr of a record is not overwritten", "overwrite_both", .overwrites),
    Refused(
        "D-037.write", "a slice of metadata is gone once the packet was written to", "meta_slice_after_write",
        since: "6.18", needs: [Features.fromMeta], .scalar),
    Refused(
        "D-037.xdp", "XDP programs make no dynptr of metadata", "meta_in_xdp", since: "6.18",
        needs: [Features.fromMeta], .notAllowed("bpf_dynptr_from_skb_meta")),
    Refused(
        "D-038.leak", "a file's dynptr must be discarded", "file_leaks", since: "6.19",
        needs: [Features.fromFile, .bpfLSM], .leak),
    Refused(
        "D-038.twice", "a file's dynptr is discarded once", "file_discarded_twice", since: "6.19",
        needs: [Features.fromFile, .bpfLSM], Rejection(.EINVAL, "Expected an initialized dynptr as R1", from: .v7_2)),
    Refused(
        "D-038.local", "memory is not discarded as a file", "local_as_file", since: "6.19",
        needs: [Features.fromFile, .bpfLSM], Rejection(.EINVAL, "Expected a dynptr of type file as R1", from: .v7_2)),
    Refused(
        "D-038.overwrite", "a file's dynptr is not overwritten", "file_overwritten", since: "6.19",
        needs: [Features.fromFile, .bpfLSM], .overwrites),
    Refused(
        "D-040", "NULL is no dynptr", "size_of_null",
        Rejection(.EINVAL, "expected pointer to stack or const struct bpf_dynptr")
            .then(.v7_2, .EACCES, "Possibly NULL pointer passed to trusted R1")),
    Refused(
        "D-040.task", "a task is no dynptr", "size_of_task",
        Rejection(.EINVAL, "expected pointer to stack or const struct bpf_dynptr")),
]

/// tests-bpf/iters/iters_fail.bpf.c, program by program.
private let refusedIterators: [Refused] = [
    Refused("I-005", "an iterator must be destroyed", "never_destroyed", .leak),
    Refused("I-005.failed", "an iterator must be destroyed even if making it failed", "destroyed_on_one_path", .leak),
    Refused("I-006", "what is no iterator is not destroyed", "destroy_without_new", .noIterator()),
    Refused("I-006.next", "what is no iterator has no next element", "next_without_new", .noIterator()),
    Refused("I-006.after", "a destroyed iterator has no next element", "next_after_destroy", .noIterator()),
    Refused("I-006.twice", "an iterator is destroyed once", "destroyed_twice", .noIterator()),
    Refused(
        "I-006.new", "no iterator is made where there is one", "new_twice",
        Rejection(.EINVAL, "expected uninitialized iter_num as arg #0")
            .then(.v7_2, .EINVAL, "expected uninitialized iter_num as R1")),
    Refused(
        "I-006.kind", "an iterator of one kind is not one of another", "of_another_kind", needs: [Features.iterBits],
        .noIterator("bits")),
    Refused("I-007", "an iterator that was overwritten is not destroyed", "destroy_overwritten", .noIterator()),
    Refused("I-007.leave", "an iterator that was overwritten was not destroyed", "leave_overwritten", .leak),
    Refused(
        "I-007.read", "programs do not look into an iterator", "look_inside",
        Rejection(.EACCES, "invalid read from stack")),
    Refused("I-008", "the next element may be NULL", "untested", .scalar),
    Refused(
        "I-009", "a number has four bytes", "read_too_much",
        Rejection(.EACCES, "invalid access to memory, mem_size=4 off=0 size=8")),
    Refused(
        "I-009.write", "a number is not written to", "write_to_element",
        Rejection(.EACCES, "cannot write into rdonly_mem")),
    Refused(
        "I-010", "an iterator is on the stack, not in a map", "in_a_map",
        Rejection(.EINVAL, "arg#0 expected pointer to an iterator on stack")
            .then(.v7_2, .EINVAL, "R1 expected pointer to an iterator on stack")),
    Refused(
        "I-010.global", "an iterator is on the stack, not in a variable", "in_a_global",
        Rejection(.EINVAL, "arg#0 expected pointer to an iterator on stack")
            .then(.v7_2, .EINVAL, "R1 expected pointer to an iterator on stack")),
    Refused("I-011", "a function destroys the iterators it makes", "leak_in_subprogram", .leak),
    Refused(
        "I-013", "what a loop adds up has no bound", "unbounded_index",
        Rejection(.EINVAL, "makes map_value pointer be out of bounds")),
    Refused(
        "I-013.second", "what a loop does in its second round is checked too", "wrong_in_second_round", .scalar),
    Refused(
        "I-013.further", "an index that grows with each round leaves the value some time", "one_further_each_round",
        Rejection(.EACCES, "invalid access to map value")),
    Refused(
        "I-016", "a loop over tasks is in an RCU section", "task_outside_rcu", needs: [Features.iterTask],
        .outsideRCU("bpf_iter_task_").then(
            .v7_2, .EACCES, "kernel func bpf_iter_task_new requires RCU critical section protection")),
    Refused(
        "I-016.next", "a loop over tasks ends with its RCU section", "task_after_rcu", needs: [Features.iterTask],
        .outsideRCU("bpf_iter_task_")),
    Refused(
        "I-016.another", "a loop over tasks does not go on in another RCU section", "task_in_another_rcu",
        needs: [Features.iterTask], .outsideRCU("bpf_iter_task_")),
    Refused(
        "I-016.css", "a loop over cgroups is in an RCU section", "css_outside_rcu",
        needs: [Features.iterCSS, Features.cgroupFromID],
        .outsideRCU("bpf_iter_css_").then(
            .v7_2, .EACCES, "kernel func bpf_iter_css_new requires RCU critical section protection")),
    Refused(
        "I-019", "no loop over a cgroup's tasks where programs neither sleep nor are LSM's", "css_task_in_tc",
        needs: [Features.iterCSSTask, Features.cgroupFromID],
        Rejection(.EINVAL, "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs")),
    Refused(
        "I-026", "no loop over slab caches where programs do not sleep", "caches_in_tc", since: "6.14",
        needs: [Features.iterCache], .notSleepable("bpf_iter_kmem_cache_new")),
    Refused(
        "I-026.dmabuf", "no loop over DMA buffers where programs do not sleep", "buffers_in_tc", since: "6.16",
        needs: [Features.iterDmabuf], .notSleepable("bpf_iter_dmabuf_new")),
    Refused(
        "I-028.task", "no loop over tasks under a lock", "task_under_lock", needs: [Features.iterTask],
        Rejection(.EINVAL, "calls are not allowed while holding a lock")),
    Refused(
        "I-029", "no exception is thrown out of a loop", "throw_in_loop", needs: [Features.exceptions], .leak),
    Refused("I-030", "a number is gone with its iterator", "number_after_destroy", .scalar),
    Refused(
        "I-030.task", "a task that came out of a loop is gone with its RCU section", "task_after_rcu_section",
        needs: [Features.iterTask], .notRCU),
]

public let dynptrVerifierSuite = Suite(
    "dynptr.verifier", "programs with dynptrs that the verifier refuses", objects: [helpers, kfuncs]
) {
    refusedByHelpers.map { $0.asCase(helpers, needs: [Features.dynptrs]) }
    refusedByKfuncs.map { $0.asCase(kfuncs, needs: [Features.slice, Features.clone, Features.fromSkb]) }
    nullableCases
}

/// Kernel functions that take dynptrs which may be NULL.
@CaseBuilder private var nullableCases: [Case] {
    let object = "dynptr/nullable.bpf.o"
    let needs = [Features.dynptrs, Features.crypto]
    Case(
        "D-040.nullable", "NULL is passed for a dynptr where the function allows it", spec: ["D-040"], needs: needs
    ) { test in
        let object = try BPFObject(object, programs: ["create", "without_iv"])
        let plain = Array("sixteen letters.".utf8)
        try object.setBytes(of: "plain", to: plain)
        try object.set("encrypted", to: Int32(-9999))
        try object.set("decrypted", to: Int32(-9999))
        let created = try object.run("create").get()
        if created == 1 {
            // Whether ecb(aes) is there is a matter of other suites: here it is the program that must load and run.
            test.log("no cipher: \(try object.value(of: "made", as: Int32.self))")
        }
        test.expect(try object.run("without_iv", data: packet(64)).errno, nil, "test run")
        guard created == 2 else { return }
        test.expect(try object.value(of: "encrypted", as: Int32.self), equals: 0, "bpf_crypto_encrypt without a vector")
        test.expect(try object.value(of: "decrypted", as: Int32.self), equals: 0, "bpf_crypto_decrypt without a vector")
        test.expect(try object.bytes(of: "again"), equals: plain, "what was encrypted and decrypted")
        test.expect(try object.bytes(of: "secret") != plain, "it was encrypted")
    }
    Refused(
        "D-040.source", "NULL is not passed for a dynptr where the function does not allow it", "without_source",
        Rejection(.EACCES, "Possibly NULL pointer passed to trusted arg1")
            .then(.v7_2, .EACCES, "Possibly NULL pointer passed to trusted R2")
    ).asCase(object, needs: needs)
}

public let iterVerifierSuite = Suite(
    "iter.verifier", "programs with iterators that the verifier refuses", objects: [iters]
) {
    refusedIterators.map { $0.asCase(iters, needs: [Features.iterNum]) }
}
