// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let preempt = Feature.kfunc("bpf_preempt_disable", since: "6.10")
    static let exceptions = Feature.kfunc("bpf_throw", since: "6.7")
    static let saveInterrupts = Feature.kfunc("bpf_local_irq_save", since: "6.14")
    static let copyString = Feature.kfunc("bpf_copy_from_user_str", since: "6.12")
}

/// tests-bpf/kfuncs/task_fail.bpf.c, program by program.
let refusedTaskPrograms: [Refused] = [
    Refused("K-041", "an acquired task must be released", "leak", .leak),
    Refused("K-042", "NULL cannot be acquired", "acquire_null", .maybeNull),
    Refused("K-043", "the stack is no task", "acquire_stack", .noObject("task_struct")),
    Refused("K-044", "a kptr read from a map may be NULL", "acquire_unchecked_kptr", .maybeNull),
    Refused(
        "K-045", "an argument is not released: it was not acquired", "release_argument",
        .releaseOfUnreferenced("bpf_task_release")),
    Refused(
        "K-046", "the stack is not released", "release_stack", .releaseOfNoObject("task_struct", "bpf_task_release")),
    Refused(
        "K-047", "a kptr read from a map is not released: the map owns it", "release_kptr",
        Rejection(.EINVAL, "R1 must be referenced or trusted")
            .then(.v7_2, .EINVAL, "release kfunc bpf_task_release expects referenced PTR_TO_BTF_ID passed to R1")),
    Refused("K-048", "what bpf_kptr_xchg takes out of a map must be released", "leak_exchanged", .leak),
    Refused("K-048.null", "what bpf_task_acquire returns may be NULL", "release_unchecked", .maybeNull),
    Refused(
        "K-046.twice", "a task is released once", "release_twice", .releaseOfNoObject("task_struct", "bpf_task_release")
    ),
    Refused(
        "K-046.use", "a task is not read after its release", "use_after_release",
        Rejection(.EACCES, "invalid mem access 'scalar'")),
    Refused(
        "K-046.offset", "a task is released by its own address, not by one inside", "release_with_offset",
        Rejection(.EINVAL, "R1 must have zero offset when passed to release func or trusted arg to kfunc")),
    Refused("K-054.leak", "a task found by its number must be released", "leak_found", .leak),
    Refused("K-054.unchecked", "what bpf_task_from_pid returns may be NULL", "release_found_unchecked", .maybeNull),
    Refused(
        "K-057", "what bpf_task_from_vpid returns may be NULL", "release_vpid_unchecked", since: "6.13",
        needs: [Features.taskFromVPID], .maybeNull),
    Refused(
        "K-049", "kretprobe programs acquire no task", "acquire_in_kretprobe", .notAllowed("bpf_task_acquire")),
    Refused("K-050", "a dying task is not acquired", "acquire_dying", needs: [.bpfLSM], .notRCU),
    Refused(
        "K-099", "no sleeping function inside an RCU section", "sleep_under_rcu", needs: [Features.copyString],
        Rejection(.EACCES, "kernel func bpf_copy_from_user_str is sleepable within rcu_read_lock region")),
    Refused(
        "K-099.preemption", "a sleeping function is not called with preemption disabled", "sleep_without_preemption",
        needs: [Features.copyString, Features.preempt],
        Rejection(.EACCES, "kernel func bpf_copy_from_user_str is sleepable within non-preemptible region")),
    Refused(
        "K-099.interrupts", "a sleeping function is not called with interrupts disabled", "sleep_without_interrupts",
        since: "6.14", needs: [Features.copyString, Features.saveInterrupts],
        Rejection(.EACCES, "kernel func bpf_copy_from_user_str is sleepable within IRQ-disabled region")),
    Refused(
        "K-099.lock", "no task is looked for while a lock is held", "acquire_under_lock",
        Rejection(.EINVAL, "function calls are not allowed while holding a lock")),
    Refused(
        "K-101", "an RCU section ends before the program", "rcu_unlock_missing",
        Rejection(.EINVAL, "bpf_rcu_read_unlock is missing").then(
            .v7_2, .EINVAL,
            "BPF_EXIT instruction in main prog cannot be used inside bpf_rcu_read_lock-ed region")),
    Refused(
        "K-102", "no RCU section ends that was not begun", "rcu_lock_missing",
        Rejection(.EINVAL, "unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)")),
    Refused("K-103", "a kptr is no RCU pointer outside an RCU section", "acquire_kptr_outside_rcu", .notRCU),
    Refused(
        "K-104", "preemption is enabled before the program ends", "preempt_enable_missing",
        needs: [Features.preempt],
        Rejection(.EINVAL, "1 bpf_preempt_enable is missing").then(
            .v7_2, .EINVAL,
            "BPF_EXIT instruction in main prog cannot be used inside bpf_preempt_disable-ed region")),
    Refused(
        "K-106", "no exception is thrown with a reference held", "throw_with_reference", needs: [Features.exceptions],
        .leak),
    Refused(
        "K-107", "no tail call with a reference held", "tail_call_with_reference",
        Rejection(.EINVAL, "tail_call would lead to reference leak")),
    Refused(
        "K-107.load", "no BPF_LD_ABS with a reference held", "load_with_reference",
        Rejection(.EINVAL, "BPF_LD_[ABS|IND] cannot be mixed with socket references").then(
            .v7_2, .EINVAL, "BPF_LD_[ABS|IND] would lead to reference leak")),
    Refused("K-115", "a static function leaks as its caller does", "leak_in_subprogram", .leak),
    Refused("K-116", "a global function leaks on its own", "leak_in_global_function", .leak),
    Refused(
        "K-120", "a weak kfunc that no kernel has is not called", "call_absent",
        Rejection(.EINVAL, "invalid kernel function call not eliminated in verifier pass")),
]
