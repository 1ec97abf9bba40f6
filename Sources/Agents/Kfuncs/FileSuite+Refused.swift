// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// tests-bpf/kfuncs/file_fail.bpf.c, program by program.
let refusedFilePrograms: [Refused] = [
    Refused("K-004", "an acquired file must be released", "leak", .leak),
    Refused("K-005", "what bpf_get_task_exe_file returns may be NULL", "put_unchecked", .maybeNull),
    Refused("K-006", "NULL has no exe file", "get_of_null", .maybeNull),
    Refused("K-007", "the stack is no task", "get_of_stack", .noObject("task_struct")),
    Refused("K-008", "a task that was walked to is not trusted", "get_of_walked", .untrusted),
    Refused(
        "K-009", "an argument is not released: it was not acquired", "put_argument",
        .releaseOfUnreferenced("bpf_put_file")),
    Refused("K-010", "a file is released once", "put_twice", .releaseOfNoObject("file", "bpf_put_file")),
    Refused(
        "K-011", "a file is not read after its release", "use_after_put",
        Rejection(.EACCES, "invalid mem access 'scalar'")),
    Refused("K-012", "a file is released on every branch", "put_on_one_branch", .leak),
    Refused("K-013.both", "of two files that are left at the end neither is missed", "leak_two", .leak),
    Refused("K-013", "each file acquired in a loop is released", "put_last_of_three", .leak),
    Refused("K-014", "a file's address in a map does not keep the file", "store_in_map", .leak),
    Refused(
        "K-015", "a file is released by its own address, not by one inside", "put_with_offset",
        Rejection(.EINVAL, "R1 must have zero offset when passed to release func or trusted arg to kfunc")),
    Refused(
        "K-016", "a task is not released as a file", "put_task",
        Rejection(
            .EINVAL,
            "kernel function bpf_put_file args#0 expected pointer to STRUCT file but R1 has a pointer to STRUCT task_struct"
        ).then(
            .v7_2, .EINVAL,
            "kernel function bpf_put_file R1 expected pointer to STRUCT file but R1 has a pointer to STRUCT task_struct"
        )),
    Refused("K-017", "bpf_path_d_path is not for fentry programs", "d_path_in_fentry", .notAllowed("bpf_path_d_path")),
    Refused(
        "K-018.syscall", "bpf_get_task_exe_file is not for syscall programs", "get_in_syscall",
        .notAllowed("bpf_get_task_exe_file")),
    Refused(
        "K-018.tp_btf", "bpf_get_task_exe_file is not for tracepoint programs", "get_in_tracepoint",
        .notAllowed("bpf_get_task_exe_file")),
    Refused(
        "K-018.xdp", "bpf_get_task_exe_file is not for XDP programs", "get_in_xdp",
        .notAllowed("bpf_get_task_exe_file")),
    Refused("K-020", "NULL is no path", "d_path_of_null", .maybeNull),
    Refused(
        "K-021", "a file is no path", "d_path_of_file",
        Rejection(
            .EINVAL,
            "kernel function bpf_path_d_path args#0 expected pointer to STRUCT path but R1 has a pointer to STRUCT file"
        ).then(
            .v7_2, .EINVAL,
            "kernel function bpf_path_d_path R1 expected pointer to STRUCT path but R1 has a pointer to STRUCT file")),
    Refused(
        "K-022", "a path that was walked to is not trusted", "d_path_of_walked",
        Rejection(.EINVAL, "R1 must be referenced or trusted")
            .then(.v7_3, .EACCES, "dereference of modified untrusted_ptr_")),
    Refused(
        "K-023", "the buffer is as long as it is said to be", "d_path_too_long",
        Rejection(.EACCES, "invalid access to map value, value_size=4096 off=0 size=8192")),
    Refused(
        "K-032", "a sleeping function is not for programs that cannot sleep", "xattr_not_sleepable",
        Rejection(.EACCES, "program must be sleepable to call sleepable kfunc bpf_get_file_xattr")),
    Refused(
        "K-033", "an attribute's name is a constant", "xattr_writable_name",
        // The text about a const string is for pointers that are no map's value at all.
        Rejection(.EACCES, "R2 does not point to a readonly map")),
]
