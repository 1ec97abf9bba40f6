// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
internal import SystemPackage

/// One program of an annotated object in one mode: loads it, runs it where it says what it returns, and judges.
///
/// - Source: docs/semantics/upstream-map.md, "Semantics".
struct AnnotatedProgram {
    let object: AnnotatedObject
    let program: AnnotatedObject.Program
    let specification: ProgramSpecification
    let mode: ProgramSpecification.Mode

    private var expected: ProgramSpecification.Expectations { specification.expectations(mode) }
    private var name: String { program.place.name }

    func run(_ test: Test) throws {
        if let reason = reasonToSkip(test) { throw test.skip(reason) }
        let load = try opened(test)
        prepare(load)
        let outcome = try loaded(load, test)
        try judge(outcome, test)
        // What follows is about a program that is in the kernel.
        guard !expected.isRefused else {
            try sayWhatWasNotJudged(test)
            return
        }
        let program = LoadedProgram(descriptor: load.descriptor)
        try judgeInstructions(program, test)
        let isJudged = try runAndJudge(load, program, test)
        try sayWhatWasNotJudged(test, streams: isJudged)
    }

    // MARK: Before

    private func reasonToSkip(_ test: Test) -> String? {
        let machine = ProgramSpecification.architecture
        if !specification.architectures.isEmpty, !specification.architectures.contains(machine) {
            return "it is for \(specification.architectures.joined(separator: ", ")), and this machine is \(machine)"
        }
        if let wanted = specification.loadMode, wanted != Self.loadMode {
            return "it is for a kernel that \(wanted == .jited ? "compiles" : "interprets") programs, which this one "
                + "does not (net.core.bpf_jit_enable)"
        }
        // Whatever the reason, the object cannot be judged without it; libbpf would say no more than an errno.
        for path in [specification.btfPath, specification.btfFunctionPath].compactMap({ $0 })
        where (try? readFile(object.path(of: path), limit: 64 << 20)) == nil {
            return "cannot be judged here: it needs the types in \(path), which is not beside the object"
        }
        return mode == .unprivileged ? Unprivileged.allow(test) : nil
    }

    private static var loadMode: ProgramSpecification.LoadMode {
        // Without the file the kernel has no compiler.
        guard let text = try? readFile("/proc/sys/net/core/bpf_jit_enable"), text.first != 0x30 else {
            return .interpreted
        }
        return .jited
    }

    private func opened(_ test: Test) throws -> ProgramLoad {
        let auxiliaries = object.programs.compactMap { other -> String? in
            guard case .success(let one) = other.specification, one.isAuxiliary, one.modes.contains(mode) else {
                return nil
            }
            return other.place.name
        }
        do {
            return try ProgramLoad(
                object.bytes, program: name, with: Set(auxiliaries),
                btfPath: specification.btfPath.map { object.path(of: $0) })
        } catch {
            if let obstacle = Obstacle(error.messages) { throw skip(test, obstacle) }
            fail(test, "libbpf opens the object", expected: "it is opened", observed: error.errno)
            test.note("libbpf", String(error.messages.suffix(2000)))
            throw CaseAborted()
        }
    }

    private func prepare(_ load: ProgramLoad) {
        var flags = LoadedProgram.baseFlags()
        for flag in specification.flags { flags = flag.isCleared ? flags & ~flag.bits : flags | flag.bits }
        load.addFlags(flags)
        load.setLogLevel(specification.logLevel)
        if mode == .unprivileged { load.dropPrivilegedMaps() }
    }

    private func loaded(_ load: ProgramLoad, _ test: Test) throws -> ProgramLoad.Outcome {
        guard mode == .unprivileged else { return load.load() }
        let user = try Unprivileged(keeping: specification.capabilities)
        let outcome = load.load()
        // The kernel keeps instructions from unprivileged users; and runs are done with all capabilities.
        try user.end()
        return outcome
    }

    // MARK: Loading

    private func judge(_ outcome: ProgramLoad.Outcome, _ test: Test) throws {
        if outcome.errno != nil, outcome.log.isEmpty, let obstacle = Obstacle(outcome.messages) {
            throw skip(test, obstacle)
        }
        if let reason = missingErrorInjection(outcome) { throw test.skip("cannot be judged here: \(reason)") }
        if let unknown = unknownOperations(outcome) { throw skip(test, unknown) }
        if let missing = missingWeakFunction(outcome) { throw skip(test, missing) }
        switch (expected.isRefused, outcome.errno) {
        case (false, let errno?):
            fail(test, "\(name) is loaded", expected: "it is loaded", observed: errno)
            test.note("reason", Self.reason(outcome))
            note(outcome, test)
            throw CaseAborted()
        case (true, nil):
            fail(test, "\(name) is refused", expected: refusal, observed: "it was loaded")
            note(outcome, test)
            throw CaseAborted()
        case (true, let errno?) where !outcome.isKernelsRefusal:
            fail(
                test, "the kernel refuses \(name)", expected: refusal,
                observed: "\(errno.name) (\(errno.rawValue)) of libbpf, before the kernel saw it")
            note(outcome, test)
            throw CaseAborted()
        default: break
        }
        try compare(
            outcome.log, expected.messages, "the verifier's log", key: "verifier_log", test, errno: outcome.errno)
    }

    /// Which functions of the kernel programs may sleep in or change is known of those that errors can be injected into:
    /// without that option it is none.
    private func missingErrorInjection(_ outcome: ProgramLoad.Outcome) -> String? {
        let complaints = [" is not sleepable", "() is not modifiable"]
        // Where debugfs cannot be seen the option is not known to be missing, and the failure stays one.
        guard outcome.errno != nil, !expected.isRefused,
            let line = outcome.log.split(separator: "\n").first(where: { line in
                complaints.contains { line.hasSuffix($0) }
            }),
            let mounts = try? readFile("/proc/mounts"),
            String(decoding: mounts, as: UTF8.self).contains(" /sys/kernel/debug "),
            (try? readFile("/sys/kernel/debug/error_injection/list")) == nil
        else { return nil }
        return "\(line), and this kernel has no CONFIG_FUNCTION_ERROR_INJECTION"
    }

    /// A program for a struct of operations that libbpf 1.1 passes over: it reaches the verifier without one.
    private func unknownOperations(_ outcome: ProgramLoad.Outcome) -> Obstacle? {
        guard outcome.errno != nil, program.place.section.drop(while: { $0 == "?" }).hasPrefix("struct_ops"),
            outcome.log.contains("processed 0 insns"), outcome.messages.contains(".struct_ops.link")
        else { return nil }
        return .unknownToLibrary(what: "structs of operations in section .struct_ops.link (libbpf 1.2 does)")
    }

    /// A call of a weak kfunc that this kernel has not: libbpf 1.1 leaves 0 in its place.
    private func missingWeakFunction(_ outcome: ProgramLoad.Outcome) -> Obstacle? {
        let callsNothing = outcome.log.split(separator: "\n").contains { line in
            line.hasSuffix("call #0") || line.contains("call #0 ")
                || line.contains("invalid kernel function call not eliminated")
        }
        // One that is refused for just that, as it says, is judged.
        guard outcome.errno != nil, callsNothing,
            !expected.isRefused || MessageMatcher(expected: expected.messages).check(outcome.log) != nil
        else { return nil }
        let missing = program.place.weakFunctions.filter { name in
            // A kernel whose types cannot be read is one that the function is not found in.
            (try? KernelBTF.hasFunction(name).get()) != true
        }
        guard let first = missing.first(where: { KernelModules.module(of: $0) != nil }) ?? missing.first else {
            return nil
        }
        if let module = KernelModules.module(of: first) {
            return .missingInModule(what: "kfunc \(first)", module: module)
        }
        return .missingInKernel(what: "kfunc \(first)")
    }

    private var refusal: String {
        let first = expected.messages.first { !$0.isUnwanted }
        return "it is refused" + (first.map { ": \($0.pattern.text)" } ?? "")
    }

    /// Says which obstacle kept the program from the verifier.
    private func skip(_ test: Test, _ obstacle: Obstacle) -> CaseAborted {
        // A kernel that lacks what a program needs does not load it, and that is what was asked.
        if case .missingInKernel(let what) = obstacle, !expected.isRefused {
            fail(test, "\(name) is loaded", expected: "it is loaded", observed: "\(what) is not in this kernel")
            return CaseAborted()
        }
        return test.skip("cannot be judged here: \(obstacle.description)")
    }

    /// The verifier's last words before its statistics.
    static func reason(_ outcome: ProgramLoad.Outcome) -> String {
        let lines = outcome.log.split(separator: "\n")
        let last = lines.last { !$0.hasPrefix("processed ") && !$0.hasPrefix("verification time") && $0 != "" }
        if let last { return String(last) }
        let messages = outcome.messages.split(separator: "\n").filter { !$0.hasPrefix("libbpf: failed to load object") }
        return messages.last.map(String.init) ?? "no reason was given"
    }

    private func note(_ outcome: ProgramLoad.Outcome, _ test: Test) {
        Self.note(outcome, test)
    }

    static func note(_ outcome: ProgramLoad.Outcome, _ test: Test) {
        if !outcome.log.isEmpty {
            test.note("verifier_log", outcome.log.split(separator: "\n").suffix(40).joined(separator: "\n"))
        } else if !outcome.messages.isEmpty {
            test.note("libbpf", String(outcome.messages.suffix(2000)))
        }
    }

    // MARK: Texts

    /// Ends the case unless the text is as expected.
    private func compare(
        _ text: String, _ expected: [ExpectedText], _ what: String, key: String, _ test: Test, errno: Errno? = nil
    ) throws {
        guard let mismatch = MessageMatcher(expected: expected).check(text) else { return }
        let pattern = expected[mismatch.index].pattern.text
        let last = mismatch.found.last
        let behind = last.map { " behind line \($0.line), where '\($0.text)' is" } ?? ""
        let count = text.split(separator: "\n").count
        let (wanted, observed): (String, String) =
            switch mismatch.kind {
            case .missing:
                ("'\(pattern)'", text.isEmpty ? "\(what) is empty" : "not found in the \(count) lines\(behind)")
            case .unwanted(let line): ("no '\(pattern)'", "it is in line \(line)\(behind)")
            case .wrongLine(let wanted, let line): ("'\(pattern)' in line \(wanted)", "it is in line \(line)")
            }
        let answer = errno.map { ", \($0.name) (\($0.rawValue))" } ?? ""
        fail(
            test, "\(what)\(answer) has text \(mismatch.index + 1) of \(expected.count) that \(name) expects",
            expected: wanted, observed: observed)
        if !mismatch.found.isEmpty {
            test.note("found_before", mismatch.found.map { "line \($0.line): \($0.text)" }.joined(separator: "\n"))
        }
        test.note(key, mismatch.excerpt(of: text))
        throw CaseAborted()
    }

    private func judgeInstructions(_ program: LoadedProgram, _ test: Test) throws {
        guard !expected.xlated.isEmpty else { return }
        let bytes = try program.rewrittenInstructions().get()
        let text = Disassembler(helperName: Self.helperName).lines(bytes).joined(separator: "\n")
        try compare(text, expected.xlated, "the rewritten program", key: "xlated", test)
    }

    private static func helperName(_ number: Int32) -> String? {
        unsafe clinux_helper_name(number).map { unsafe String(cString: $0) }
    }

    // MARK: Running

    /// - Returns: false when the kernel has no streams to compare.
    private func runAndJudge(_ load: ProgramLoad, _ program: LoadedProgram, _ test: Test) throws -> Bool {
        guard let result = expected.result else { return true }
        if let problem = load.attachStructOps() {
            fail(
                test, "struct_ops map \(problem.map) is attached before \(name) runs", expected: "0",
                observed: problem.errno)
            throw CaseAborted()
        }
        for one in FilledMap.all(for: object.name) {
            if let errno = load.update(one) { throw errno }
        }
        let answer = program.run(takesPacket: !load.isSystemCall, linearSize: specification.linearSize)
        switch (answer, result) {
        case (.failure(let errno), _):
            fail(test, "\(name) is run", expected: "BPF_PROG_TEST_RUN runs it", observed: errno)
            throw CaseAborted()
        case (.success(let value), .value(let wanted)) where value != wanted:
            fail(test, "\(name) returns what it says", expected: Self.text(wanted), observed: Self.text(value))
            throw CaseAborted()
        default: break
        }
        for (stream, texts) in [
            (LoadedProgram.Stream.standardError, expected.standardError),
            (.standardOutput, expected.standardOutput),
        ] where !texts.isEmpty {
            switch program.read(stream) {
            case .success(let text): try compare(text, texts, stream.name, key: stream.name, test)
            // A kernel without streams does not know the command.
            case .failure(.invalidArgument): return false
            case .failure(let errno): throw errno
            }
        }
        return true
    }

    private static func text(_ value: Int32) -> String {
        (-9...9).contains(value) ? "\(value)" : "\(value) (0x\(String(UInt32(bitPattern: value), radix: 16)))"
    }

    /// All that could be judged holds: a skip says what could not, so that nobody takes it for a pass.
    private func sayWhatWasNotJudged(_ test: Test, streams: Bool = true) throws {
        var left: [String] = []
        if expected.jitedLines > 0 {
            left.append("\(expected.jitedLines) lines of native code, for which there is no disassembler here")
        }
        if !streams { left.append("what it prints: this kernel has no streams of BPF programs (6.17 has)") }
        guard !left.isEmpty else { return }
        throw test.skip("cannot be judged here: \(left.joined(separator: "; ")); everything else holds")
    }

    private func fail(_ test: Test, _ message: String, expected: String, observed: Errno) {
        fail(test, message, expected: expected, observed: "\(observed.name) (\(observed.rawValue))", errno: observed)
    }

    private func fail(_ test: Test, _ message: String, expected: String, observed: String, errno: Errno? = nil) {
        object.fail(test, program, message, expected: expected, observed: observed, errno: errno)
    }
}

extension AnnotatedObject {
    func path(of companion: String) -> String {
        folder + "/files/" + companion
    }

    /// Records a failure at the program's place in its source text.
    func fail(
        _ test: Test, _ program: Program, _ message: String, expected: String, observed: String, errno: Errno? = nil
    ) {
        let at = lines.line(of: program.place)
        test.fail(
            message, expected: expected, observed: observed, errno: errno, file: at?.file ?? name, line: at?.line ?? 0)
        if at == nil { test.note("at", "\(name), program \(program.place.name)") }
    }
}

/// A program of an object without annotations: it must load, or must be refused.
struct PlainProgram {
    let object: AnnotatedObject
    let program: AnnotatedObject.Program

    func run(_ test: Test) throws {
        let name = program.place.name
        let (alone, outcome) = try load(test, with: [])
        var last = outcome
        if !object.expectsRefusal, outcome.errno != nil, outcome.log.isEmpty {
            // It may need others: as the target of a tail call, or in a struct of operations.
            let (together, second) = try load(test, with: nil)
            withExtendedLifetime(together) {}
            if second.errno == nil { last = second }
        }
        withExtendedLifetime(alone) {}
        if object.expectsRefusal {
            guard let errno = last.errno else {
                object.fail(test, program, "\(name) is refused", expected: "it is refused", observed: "it was loaded")
                return
            }
            if last.isKernelsRefusal { return }
            if let obstacle = Obstacle(last.messages) {
                throw test.skip("cannot be judged here: \(obstacle.description)")
            }
            object.fail(
                test, program, "the kernel refuses \(name)", expected: "it is refused",
                observed: "\(errno.name) (\(errno.rawValue)) of libbpf, before the kernel saw it", errno: errno)
            AnnotatedProgram.note(last, test)
            return
        }
        guard let errno = last.errno else { return }
        var observed = "\(errno.name) (\(errno.rawValue)): \(AnnotatedProgram.reason(last))"
        if last.log.isEmpty, let obstacle = Obstacle(last.messages) {
            guard case .missingInKernel = obstacle else {
                throw test.skip("cannot be judged here: \(obstacle.description)")
            }
            observed = obstacle.description
        }
        object.fail(
            test, program, "\(name) is loaded", expected: "it is loaded", observed: observed, errno: errno)
        AnnotatedProgram.note(last, test)
    }

    private func load(_ test: Test, with others: Set<String>?) throws -> (ProgramLoad, ProgramLoad.Outcome) {
        do {
            let load = try ProgramLoad(object.bytes, program: program.place.name, with: others, btfPath: nil)
            return (load, load.load())
        } catch {
            if let obstacle = Obstacle(error.messages), case .unknownToLibrary = obstacle {
                throw test.skip("cannot be judged here: \(obstacle.description)")
            }
            object.fail(
                test, program, "libbpf opens \(object.name)", expected: "it is opened",
                observed: "\(error.errno.name) (\(error.errno.rawValue))", errno: error.errno)
            test.note("libbpf", String(error.messages.suffix(2000)))
            throw CaseAborted()
        }
    }
}
