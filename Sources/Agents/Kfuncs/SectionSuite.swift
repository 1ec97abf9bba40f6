// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let interrupts = Feature.kfunc("bpf_local_irq_save", since: "6.14")
    /// A processor counts what keeps it from preemption only where the kernel can be preempted.
    static let preemption = Feature("preemption", since: "2.6", config: ["CONFIG_PREEMPTION"]) {
        let path = "/proc/kallsyms"
        do throws(Errno) {
            let symbols = String(decoding: try readFile(path, limit: 64 << 20), as: UTF8.self)
            // Compiled in with the option alone; preempt_schedule_irq is there without it.
            if symbols.contains(" preempt_schedule_notrace\n") { return .present }
            return .absent(evidence: "no preempt_schedule_notrace in \(path)")
        } catch {
            return .absent(evidence: "\(path): \(error.name) (\(error.rawValue))")
        }
    }
}

private let object = "kfuncs/section.bpf.o"
private let refusing = "kfuncs/section_fail.bpf.o"
private let needs = [Features.preempt, Features.copyString, Features.taskFromPID]

/// A program of tests-bpf/kfuncs/section.bpf.c, run once; it ends with reading a string, which may sleep.
private func run(_ test: Test, _ program: String) throws -> BPFObject {
    let object = try BPFObject(object, programs: [program])
    let text = unsafe strdup("bpftest")
    defer { unsafe free(text) }
    try object.set("address", to: UInt64(UInt(bitPattern: text)))
    test.expect(try object.run(program).get(), equals: 1, "1: the program came to its end")
    let results = try object.bytes(of: "results")
    test.expect(Int32(results, at: 0), equals: 8, "length of the string read when sleeping was right again")
    test.expect(
        String(decoding: try object.bytes(of: "text").prefix { $0 != 0 }, as: UTF8.self), equals: "bpftest",
        "the string")
    return object
}

private func exit(inside region: String, _ wording: String) -> Rejection {
    Rejection(.EINVAL, wording).then(
        KernelRelease(6, 13), .EINVAL,
        "BPF_EXIT instruction in main prog cannot be used inside \(region)-ed region")
}

private func irq(_ wording: String, since_7_2: String) -> Rejection {
    Rejection(.EINVAL, wording, from: KernelRelease(6, 14)).then(.v7_2, .EINVAL, since_7_2)
}

/// What K-099 to K-105 of docs/semantics/kfuncs.md say beyond tasks.
public let sectionSuite = Suite(
    "kfuncs.section", "sections with RCU, without preemption, without interrupts, with a lock",
    objects: [object, refusing]
) {
    Case(
        "K-104.run", "preemption is off, counted, for as long as the program says", spec: ["K-104"], since: "6.12",
        needs: needs + [Features.preemption]
    ) { test in
        let object = try run(test, "without_preemption")
        let value = { (name: String) in try object.value(of: name, as: Int32.self) }
        let before = try value("count_before")
        test.expect(try value("count_once"), equals: before + 1, "the processor's count after bpf_preempt_disable")
        test.expect(try value("count_twice"), equals: before + 2, "the processor's count after a second one")
        test.expect(try value("count_again"), equals: before + 1, "the processor's count after bpf_preempt_enable")
        test.expect(try value("count_after"), equals: before, "the processor's count at the end")
    }
    Case("K-099.run", "a program sleeps when its RCU section is over", spec: ["K-099"], since: "6.12", needs: needs) {
        test in
        let object = try run(test, "under_rcu")
        test.expect(Int32(try object.bytes(of: "results"), at: 4), equals: getpid(), "what was read inside")
    }
    Case(
        "K-100.run", "a program sleeps when its outer RCU section is over", spec: ["K-100"], since: "7.2", needs: needs
    ) { test in
        guard KernelRelease.running >= .v7_2 else {
            throw test.skip("RCU sections are not nested in 6.18 and before: K-100")
        }
        _ = try run(test, "under_rcu_twice")
    }
    Case(
        "K-105.run", "interrupts are off and on again, one inside the other", spec: ["K-105"], since: "6.14",
        needs: needs + [Features.interrupts]
    ) { test in
        let object = try run(test, "without_interrupts")
        test.expect(Int32(try object.bytes(of: "results"), at: 4), equals: 1, "the program ran inside")
    }
    for one in [
        Refused(
            "K-104.two", "each bpf_preempt_disable has its bpf_preempt_enable", "preempt_enable_missing_twice",
            exit(inside: "bpf_preempt_disable", "2 bpf_preempt_enable(s) are missing")),
        Refused(
            "K-104.branch", "preemption is enabled on every branch", "preempt_enable_missing_on_branch",
            exit(inside: "bpf_preempt_disable", "1 bpf_preempt_enable is missing")),
        Refused(
            "K-104.unmatched", "preemption is not enabled that was not disabled", "preempt_disable_missing",
            Rejection(.EINVAL, "unmatched attempt to enable preemption (kernel function bpf_preempt_enable)")),
        Refused(
            "K-104.sleep", "no sleeping function without preemption", "sleep_without_preemption",
            Rejection(.EACCES, "kernel func bpf_copy_from_user_str is sleepable within non-preemptible region")),
        Refused(
            "K-104.sleep_nested", "no sleeping function until the last bpf_preempt_enable", "sleep_after_inner_enable",
            Rejection(.EACCES, "kernel func bpf_copy_from_user_str is sleepable within non-preemptible region")),
        Refused(
            "K-107.load", "no LD_ABS with a reference held", "load_with_reference",
            Rejection(.EINVAL, "BPF_LD_[ABS|IND] cannot be mixed with socket references")
                .then(KernelRelease(6, 13), .EINVAL, "BPF_LD_[ABS|IND] would lead to reference leak")),
        Refused(
            "K-101.load", "no LD_ABS inside an RCU section", "load_under_rcu",
            Rejection(.EINVAL, "BPF_LD_[ABS|IND] cannot be used inside bpf_rcu_read_lock-ed region")),
        Refused(
            "K-104.load", "no LD_ABS without preemption", "load_without_preemption",
            Rejection(.EINVAL, "BPF_LD_[ABS|IND] cannot be used inside bpf_preempt_disable-ed region")),
        Refused(
            "K-101.tail_call", "no tail call inside an RCU section", "tail_call_under_rcu",
            Rejection(.EINVAL, "tail_call cannot be used inside bpf_rcu_read_lock-ed region")),
        Refused(
            "K-104.tail_call", "no tail call without preemption", "tail_call_without_preemption",
            Rejection(.EINVAL, "tail_call cannot be used inside bpf_preempt_disable-ed region")),
        Refused(
            "K-101.throw", "no exception is thrown inside an RCU section", "throw_under_rcu",
            needs: [Features.exceptions],
            // 6.12.43 looks at the missing unlock first, 6.12.117 at the throw, 6.18 at the end of the program.
            Rejection(.EINVAL, "bpf_throw cannot be used inside bpf_rcu_read_lock-ed region")
                .or(.EINVAL, "bpf_rcu_read_unlock is missing")
                .then(KernelRelease(6, 13), .EINVAL, "cannot be used inside bpf_rcu_read_lock-ed region")),
        Refused(
            "K-104.lock", "a spin lock is given back before the program ends", "unlock_missing",
            Rejection(.EINVAL, "bpf_spin_unlock is missing").then(
                KernelRelease(6, 13), .EINVAL,
                "BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region")),
        Refused(
            "K-104.locked", "kernel functions are not called with a spin lock held", "kfunc_under_lock",
            Rejection(.EINVAL, "function calls are not allowed while holding a lock")),
    ] {
        one.asCase(refusing, needs: needs)
    }
    for one in [
        Refused(
            "K-105.missing", "interrupts are restored before the program ends", "restore_missing", since: "6.14",
            Rejection(
                .EINVAL, "BPF_EXIT instruction in main prog cannot be used inside bpf_local_irq_save-ed region")),
        Refused(
            "K-105.outer", "the outer state of interrupts is restored too", "outer_restore_missing", since: "6.14",
            Rejection(
                .EINVAL, "BPF_EXIT instruction in main prog cannot be used inside bpf_local_irq_save-ed region")),
        Refused(
            "K-105", "states of interrupts are restored in the order of their saving, reversed",
            "restore_out_of_order", since: "6.14",
            Rejection(.EACCES, "cannot restore irq state out of order")),
        Refused(
            "K-105.twice", "a state of interrupts is restored once", "restore_twice", since: "6.14",
            irq("expected an initialized irq flag as arg#0", since_7_2: "expected an initialized irq flag as R1")),
        Refused(
            "K-105.save_twice", "a state of interrupts is not saved over another", "save_twice", since: "6.14",
            irq("expected uninitialized irq flag as arg#0", since_7_2: "expected uninitialized irq flag as R1")),
        Refused(
            "K-105.map", "a state of interrupts is saved on the stack", "save_in_map", since: "6.14",
            irq("arg#0 doesn't point to an irq flag on stack", since_7_2: "R1 doesn't point to an irq flag on stack")),
        Refused(
            "K-105.sleep", "no sleeping function without interrupts", "sleep_without_interrupts", since: "6.14",
            Rejection(.EACCES, "kernel func bpf_copy_from_user_str is sleepable within IRQ-disabled region")),
    ] {
        one.asCase(refusing, needs: needs + [Features.interrupts])
    }
}
