// SPDX-License-Identifier: Apache-2.0

/// What the annotations of one program say, all together.
struct ProgramSpecification: Equatable {
    /// What a run of the program in one mode has to show.
    struct Expectations: Equatable {
        var isRefused = false
        /// The verifier's messages.
        var messages: [ExpectedText] = []
        /// Lines of the program as the verifier has rewritten it.
        var xlated: [ExpectedText] = []
        /// How many lines of native code are described, which are not judged here.
        var jitedLines = 0
        var standardOutput: [ExpectedText] = []
        var standardError: [ExpectedText] = []
        /// nil: the program is not run.
        var result: ExpectedResult?
    }

    enum ExpectedResult: Equatable {
        /// A pointer, or another value that cannot be known.
        case any
        case value(Int32)
    }

    struct Flag: Equatable {
        var bits: UInt32
        var isCleared: Bool
    }

    enum LoadMode: String {
        case jited
        case interpreted = "no_jited"
    }

    enum Mode: CaseIterable {
        case privileged, unprivileged
    }

    var description: String?
    var logLevel: UInt32 = 0
    var flags: [Flag] = []
    /// In the order of `enum` of the annotations; empty: all.
    var architectures: [String] = []
    var loadMode: LoadMode?
    var linearSize: UInt32?
    var btfPath: String?
    var btfFunctionPath: String?
    /// Capabilities added to what the unprivileged run keeps: a bit for each number.
    var capabilities: UInt64 = 0
    /// Loaded together with each tested program, and no test itself.
    var isAuxiliary = false
    var modes: Set<Mode> = []
    var privileged = Expectations()
    var unprivileged = Expectations()

    func expectations(_ mode: Mode) -> Expectations {
        mode == .privileged ? privileged : unprivileged
    }

    /// Program flags by the names that annotations use (include/uapi/linux/bpf.h).
    static let flagNames: [String: UInt32] = [
        "BPF_F_STRICT_ALIGNMENT": 1 << 0, "BPF_F_ANY_ALIGNMENT": 1 << 1, "BPF_F_TEST_RND_HI32": 1 << 2,
        "BPF_F_TEST_STATE_FREQ": 1 << 3, "BPF_F_SLEEPABLE": 1 << 4, "BPF_F_XDP_HAS_FRAGS": 1 << 5,
        "BPF_F_XDP_DEV_BOUND_ONLY": 1 << 6, "BPF_F_TEST_REG_INVARIANTS": 1 << 7,
    ]

    /// This machine, as annotations name it.
    static let architecture: String = {
        #if arch(x86_64)
        "X86_64"
        #elseif arch(arm64)
        "ARM64"
        #elseif arch(riscv64)
        "RISCV64"
        #elseif arch(s390x)
        "s390x"
        #else
        "unknown"
        #endif
    }()

    private static let architectures = ["X86_64", "ARM64", "RISCV64", "s390x", "LOONGARCH"]

    /// - Parameters:
    ///   - annotations: in the order of the source text.
    ///   - section: the program's, as named in the file.
    init(
        _ annotations: [Annotation], section: String, architecture: String = Self.architecture
    )
        throws(Annotation.Problem)
    {
        var lines = LineStates()
        var hasUnprivilegedOutcome = false
        var hasUnprivilegedResult = false
        for one in annotations {
            let mode: Mode = one.isUnprivileged ? .unprivileged : .privileged
            // What only describes does not ask for a run.
            if one.key.asksForRun { modes.insert(mode) }
            switch one.key {
            case .success, .failure:
                change(mode) { $0.isRefused = one.key == .failure }
                if one.isUnprivileged { hasUnprivilegedOutcome = true }
            case .message, .notMessage, .regex:
                let pattern =
                    one.key == .regex ? try MessagePattern(expression: one.value) : try MessagePattern(one.value)
                change(mode) {
                    $0.messages.append(ExpectedText(pattern: pattern, isUnwanted: one.key == .notMessage))
                }
            case .xlated:
                try append(one, mode, \.xlated, &lines)
            case .standardOutput:
                try append(one, mode, \.standardOutput, &lines)
            case .standardError:
                try append(one, mode, \.standardError, &lines)
            case .jited:
                guard let last = architectures.last else {
                    throw Annotation.Problem(text: "native code is described before an architecture is named")
                }
                guard last == architecture else { continue }
                modes.insert(mode)
                _ = try MessagePattern(one.value)
                change(mode) { $0.jitedLines += 1 }
            case .retval:
                let result = try Self.result(one.value)
                change(mode) { $0.result = result }
                if one.isUnprivileged { hasUnprivilegedResult = true }
            case .auxiliary: isAuxiliary = true
            case .capabilities: capabilities |= try Self.capabilities(one.value)
            case .description: description = one.value
            case .logLevel: logLevel = UInt32(bitPattern: try Self.integer(one.value, "log level"))
            case .flags: flags.append(try Self.flag(one.value))
            case .btfPath: btfPath = one.value
            case .btfFunctionPath: btfFunctionPath = one.value
            case .arch:
                guard Self.architectures.contains(one.value) else {
                    throw Annotation.Problem(text: "unknown architecture \(one.value)")
                }
                architectures.append(one.value)
            case .loadMode:
                guard let mode = LoadMode(rawValue: one.value) else {
                    throw Annotation.Problem(text: "unknown load mode \(one.value): jited and no_jited are known")
                }
                loadMode = mode
            case .linearSize:
                guard Self.hasLinearSize(section) else {
                    throw Annotation.Problem(text: "a linear size is for programs on skbs, not for section \(section)")
                }
                linearSize = UInt32(bitPattern: try Self.integer(one.value, "linear size"))
            }
        }
        if modes.isEmpty { modes = [.privileged] }
        // What is not said of the unprivileged run is as for the privileged one.
        if !hasUnprivilegedOutcome { unprivileged.isRefused = privileged.isRefused }
        if !hasUnprivilegedResult { unprivileged.result = privileged.result }
        if unprivileged.messages.isEmpty { unprivileged.messages = privileged.messages }
        if unprivileged.xlated.isEmpty { unprivileged.xlated = privileged.xlated }
        if unprivileged.jitedLines == 0 { unprivileged.jitedLines = privileged.jitedLines }
        if unprivileged.standardOutput.isEmpty { unprivileged.standardOutput = privileged.standardOutput }
        if unprivileged.standardError.isEmpty { unprivileged.standardError = privileged.standardError }
    }

    private mutating func change(_ mode: Mode, _ body: (inout Expectations) -> Void) {
        if mode == .privileged { body(&privileged) } else { body(&unprivileged) }
    }

    /// Lists of lines in which the value `...` stands for any number of lines.
    private struct LineStates {
        /// Lists whose next line may be anywhere behind the one before.
        var gaps: Set<String> = []
    }

    private mutating func append(
        _ one: Annotation, _ mode: Mode, _ list: WritableKeyPath<Expectations, [ExpectedText]>,
        _ lines: inout LineStates
    ) throws(Annotation.Problem) {
        let name = "\(one.key) \(mode)"
        if one.value == "..." {
            lines.gaps.insert(name)
            return
        }
        let pattern = try MessagePattern(one.value)
        let isOnNextLine = lines.gaps.remove(name) == nil
        change(mode) { $0[keyPath: list].append(ExpectedText(pattern: pattern, isOnNextLine: isOnNextLine)) }
    }

    // MARK: Values

    /// A number as strtol(3) reads it, hexadecimal behind 0x; cut to 32 bits as the kernel's own runner does.
    private static func integer(_ text: String, _ what: String) throws(Annotation.Problem) -> Int32 {
        let number: Int64?
        if text.hasPrefix("0x") {
            number = Int64(text.dropFirst(2), radix: 16)
        } else {
            number = Int64(text)
        }
        guard let number else { throw Annotation.Problem(text: "\(what) '\(text)' is no number") }
        return Int32(truncatingIfNeeded: number)
    }

    private static func result(_ text: String) throws(Annotation.Problem) -> ExpectedResult {
        switch text {
        case "INT_MIN", "_INT_MIN": return .value(.min)
        case "TEST_DATA_LEN": return .value(64)
        case "POINTER_VALUE", "0xbadcafe": return .any
        default: return .value(try integer(text, "return value"))
        }
    }

    private static func flag(_ text: String) throws(Annotation.Problem) -> Flag {
        let isCleared = text.hasPrefix("!")
        let name = isCleared ? String(text.dropFirst()) : text
        let bits: UInt32
        if let known = flagNames[name] {
            bits = known
        } else {
            bits = UInt32(bitPattern: try integer(name, "program flag"))
        }
        return Flag(bits: bits, isCleared: isCleared)
    }

    private static func capabilities(_ text: String) throws(Annotation.Problem) -> UInt64 {
        var bits: UInt64 = 0
        for word in text.split(separator: "|") {
            guard let number = Int(word) ?? capabilityNames[String(word)], (1..<64).contains(number) else {
                throw Annotation.Problem(text: "unknown capability \(word)")
            }
            bits |= 1 << UInt64(number)
        }
        return bits
    }

    /// include/uapi/linux/capability.h; those that BPF asks for.
    private static let capabilityNames = [
        "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_IPC_LOCK": 14, "CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24,
        "CAP_PERFMON": 38, "CAP_BPF": 39,
    ]

    /// Programs of the types SCHED_CLS, SCHED_ACT and CGROUP_SKB, by their sections.
    private static func hasLinearSize(_ section: String) -> Bool {
        let name = section.drop { $0 == "?" }
        return ["tc", "tcx/", "classifier", "action", "cgroup_skb/", "cgroup/skb", "netkit/"].contains {
            name.hasPrefix($0)
        }
    }
}

extension Annotation.Key {
    /// Whether the annotation by itself makes the program a test in its mode.
    fileprivate var asksForRun: Bool {
        switch self {
        case .success, .failure, .message, .notMessage, .regex, .xlated, .retval, .auxiliary, .capabilities: true
        default: false
        }
    }
}
