// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension Features {
    /// The function itself is old; that programs may call it came with the functions on keys, in 6.1.
    static let crash = Feature.kfunc("crash_kexec", since: "6.1", config: ["CONFIG_CRASH_DUMP", "CONFIG_KEXEC_CORE"])
    static let readonlyCast = Feature.kfunc("bpf_rdonly_cast", since: "6.2")
    static let implicitStack = Feature.kfunc("bpf_stream_print_stack_impl", since: "7.0")
}

private let refusing = "kfuncs/rules_fail.bpf.o"
/// All are in one object: libbpf must find each of them.
/// 6.17 has another function of that name, 6.18 the implementation alone.
private let streamPrint: [Feature] = [
    .kfunc("bpf_stream_vprintk", since: "7.0"), .kfunc("bpf_stream_vprintk_impl", since: "6.18"),
]
private let tasks = [Features.taskAcquire, Features.taskFromPID]

/// A file under /proc/sys that a case changes and puts back.
private func with(_ name: String, _ value: String, _ test: Test, _ body: () throws -> Void) throws {
    let path = "/proc/sys/\(name)"
    let before = try readFile(path)
    func write(_ text: [UInt8]) throws(Errno) {
        try FileHandle(try Descriptors.open(path, O_WRONLY)).writeAll(text)
    }
    try write(Array(value.utf8))
    let result = Swift.Result { try body() }
    try write(before)
    try result.get()
}

/// K-108 to K-112 of docs/semantics/kfuncs.md, and rules of its §3 that no other suite shows.
public let rulesSuite = Suite(
    "kfuncs.rules", "who may call which function of the kernel, and with what",
    objects: [refusing, "kfuncs/unprivileged_fail.bpf.o"]
) {
    Case(
        "K-108", "functions that end the kernel are for those with CAP_SYS_BOOT", since: "6.1",
        needs: [Features.userKey, Features.crash]
    ) { test in
        // Loaded with the capability, for comparison; never attached.
        _ = try BPFObject(refusing, programs: ["destroys"])
        try test.require(success: Capability.sysBoot.drop(), "CAP_SYS_BOOT is given up")
        test.expect(
            refusing, program: "destroys",
            refused: Rejection(.EACCES, "destructive kfunc calls require CAP_SYS_BOOT capabilit"))
    }
    Case(
        "K-110", "kernel functions are called from compiled programs only", since: "6.2", needs: tasks
    ) { test in
        try expectNeedsCompiler(test, "needs_compiler")
    }
    Case(
        "K-110.tc", "functions of modules are called from compiled programs only", spec: ["K-110"], since: "6.1",
        needs: [Features.conntrack]
    ) { test in
        try expectNeedsCompiler(test, "needs_compiler_for_tables")
    }
    Case(
        "K-109.capability", "kernel functions are for those with CAP_BPF", spec: ["K-109"], since: "6.2",
        needs: [Features.readonlyCast]
    ) { test in
        let object = "kfuncs/unprivileged_fail.bpf.o"
        // Unprivileged users may load socket filters at all: then it is for the function that one is refused.
        try with("kernel/unprivileged_bpf_disabled", "0", test) {
            let worker = try Worker { _ in
                for capability in [Capability.bpf, .sysAdmin, .perfmon] {
                    if let errno = capability.drop() { return "a capability is not given up: \(errno.name)" }
                }
                do throws(LoadError) {
                    _ = try BPFObject(object, programs: ["without_function"])
                } catch {
                    return "without a function: \(error)"
                }
                do throws(LoadError) {
                    _ = try BPFObject(object, programs: ["without_capability"], isVerbose: true)
                    return "loaded"
                } catch {
                    return "\(error.errno.name) \(error.log) \(error.messages)"
                }
            }
            let answer = try worker.finish()
            test.note("answer", answer)
            test.expect(answer.hasPrefix("EPERM "), "a socket filter without function is loaded, with one it is EPERM")
            test.expect(
                answer.contains(
                    "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN"),
                "the verifier says which capabilities would do")
        }
    }
    for (object, program, function, features) in [
        ("kfuncs/cast_fail.bpf.o", "casts", "bpf_rdonly_cast", [Features.readonlyCast]),
        (
            "kfuncs/cast_fail.bpf.o", "walks_bits", "bpf_iter_bits_new",
            [Feature.kfunc("bpf_iter_bits_new", since: "6.11")]
        ),
        (
            "kfuncs/perfmon_read_fail.bpf.o", "reads_kernel", "bpf_probe_read_kernel_dynptr",
            [Feature.kfunc("bpf_probe_read_kernel_dynptr", since: "6.16")]
        ),
        (
            "kfuncs/perfmon_cache_fail.bpf.o", "finds_cache", "bpf_get_kmem_cache",
            [Feature.kfunc("bpf_get_kmem_cache", since: "6.13")]
        ),
        ("kfuncs/perfmon_print_fail.bpf.o", "prints", "bpf_stream_vprintk", streamPrint),
    ] {
        Case(
            "K-111.\(function)", "from 7.3 on \(function) is for those with CAP_PERFMON",
            spec: function == "bpf_iter_bits_new" ? ["K-111", "I-024"] : ["K-111"],
            needs: features
        ) { test in
            _ = try BPFObject(object, programs: [program])
            for capability in [Capability.perfmon, .sysAdmin] {
                try test.require(success: capability.drop(), "\(capability) is given up")
            }
            if KernelRelease.running >= .v7_3 {
                test.expect(
                    object, program: program,
                    refused: Rejection(.EPERM, "\(function) is allowed only to CAP_PERFMON and CAP_SYS_ADMIN"))
            } else {
                _ = try BPFObject(object, programs: [program])
            }
        }
    }
    for one in [
        Refused(
            "K-112", "the implementation behind a function with implicit arguments is not called",
            "calls_implementation", since: "7.0", needs: [Features.implicitStack],
            Rejection(.EINVAL, "cannot find address for kernel function bpf_stream_print_stack_impl")),
        Refused(
            "K-111.constant", "the type of a cast is a constant", "casts_to_variable",
            needs: [Features.readonlyCast], Rejection(.EINVAL, "R2 must be a known constant")),
        Refused(
            "K-033.stack", "an attribute's name is in a map that nobody writes to", "name_on_stack",
            needs: [Features.fileXattr, .bpfLSM],
            Rejection(.EINVAL, "arg#1 doesn't point to a const string")
                .then(.v7_2, .EINVAL, "R2 doesn't point to a const string")),
        Refused(
            "K-048.exchange_null", "what bpf_kptr_xchg puts into a map is not NULL by chance", "exchange_unchecked",
            Rejection(.EACCES, "Possibly NULL pointer passed to helper arg2")
                .then(.v7_2, .EACCES, "Possibly NULL pointer passed to helper R2")),
        Refused(
            "K-045.exchange", "what bpf_kptr_xchg puts into a map was acquired", "exchange_argument",
            Rejection(.EINVAL, "R2 must be referenced when passed to release function")
                .then(.v7_2, .EINVAL, "release helper bpf_kptr_xchg expects referenced PTR_TO_BTF_ID passed to R2")),
        Refused(
            "K-053.scalar", "a pointer is no number of a process", "number_is_pointer",
            Rejection(.EINVAL, "R1 is not a scalar")),
    ] {
        one.asCase(refusing, needs: tasks)
    }
}

/// With the compiler switched off, programs are interpreted, unless the kernel was built without an interpreter.
private func expectNeedsCompiler(_ test: Test, _ program: String) throws {
    do {
        try with("net/core/bpf_jit_enable", "0", test) {
            test.expect(
                refusing, program: program,
                refused: Rejection(.ENOTSUPP, "JIT is required for calling kernel function"))
        }
    } catch let errno as Errno where errno == .EINVAL {
        throw test.skip("the compiler cannot be switched off: CONFIG_BPF_JIT_ALWAYS_ON")
    }
    _ = try BPFObject(refusing, programs: [program])
}
