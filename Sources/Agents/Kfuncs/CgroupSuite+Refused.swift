// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// tests-bpf/kfuncs/cgroup_fail.bpf.c, program by program.
let refusedCgroupPrograms: [Refused] = [
    Refused("K-061.leak", "an acquired cgroup must be released", "leak", .leak),
    Refused("K-061.leak_id", "a cgroup found by its id must be released", "leak_of_id", .leak),
    Refused("K-061.leak_ancestor", "an ancestor must be released", "leak_of_ancestor", .leak),
    Refused("K-061.leak_exchanged", "what bpf_kptr_xchg takes out of a map must be released", "leak_exchanged", .leak),
    Refused("K-061.null", "NULL cannot be acquired", "acquire_null", .maybeNull),
    Refused("K-061.unchecked", "what bpf_cgroup_acquire returns may be NULL", "release_unchecked", .maybeNull),
    Refused("K-061.kptr", "a kptr read from a map may be NULL", "acquire_unchecked_kptr", .maybeNull),
    Refused("K-061.stack", "the stack is no cgroup", "acquire_stack", .noObject("cgroup")),
    Refused(
        "K-061.release_stack", "the stack is not released", "release_stack",
        .releaseOfNoObject("cgroup", "bpf_cgroup_release")),
    Refused(
        "K-061.argument", "an argument is not released: it was not acquired", "release_argument",
        .releaseOfUnreferenced("bpf_cgroup_release")),
    Refused("K-061.walked", "a cgroup that was walked to is not acquired", "acquire_walked", .notRCU),
    Refused(
        "K-061.outside_rcu", "a kptr is no RCU pointer outside an RCU section", "acquire_kptr_outside_rcu", .notRCU),
    Refused(
        "K-061.twice", "a cgroup is released once", "release_twice",
        .releaseOfNoObject("cgroup", "bpf_cgroup_release")),
    Refused(
        "K-061.use", "a cgroup is not read after its release", "use_after_release",
        Rejection(.EACCES, "invalid mem access 'scalar'")),
    Refused(
        "K-061.offset", "a cgroup is released by its own address, not by one inside", "release_with_offset",
        Rejection(.EINVAL, "R1 must have zero offset when passed to release func or trusted arg to kfunc")),
    Refused(
        "K-061.task", "a task is not acquired as a cgroup", "acquire_task",
        Rejection(
            .EINVAL,
            "kernel function bpf_cgroup_acquire args#0 expected pointer to STRUCT cgroup but R1 has a pointer to STRUCT task_struct"
        ).then(
            .v7_2, .EINVAL,
            "kernel function bpf_cgroup_acquire R1 expected pointer to STRUCT cgroup but R1 has a pointer to STRUCT task_struct"
        )),
    Refused(
        "K-061.number", "an id is a number, not an address", "id_is_pointer", Rejection(.EINVAL, "R1 is not a scalar")),
    Refused(
        "K-062", "kretprobe programs find no cgroup", "from_id_in_kretprobe", .notAllowed("bpf_cgroup_from_id")),
]
