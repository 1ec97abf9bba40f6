// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AgentKit

@Suite struct AnnotationTests {
    /// The same annotations in the three encodings: 6.1, 6.12, 7.x.
    @Test(arguments: [
        ["comment:test_expect_failure", "comment:test_expect_msg=first", "comment:test_log_level=2"],
        ["comment:test_expect_failure", "comment:test_expect_msg=7=first", "comment:test_log_level=2"],
        ["comment:3:test_expect_failure", "comment:4:test_expect_msg=first", "comment:5:test_log_level=2"],
    ])
    func readsAllEncodings(tags: [String]) throws {
        let one = try ProgramSpecification(Annotation.read(all: tags), section: "tc")
        #expect(one.modes == [.privileged])
        #expect(one.privileged.isRefused)
        #expect(one.privileged.messages.map(\.pattern.text) == ["first"])
        #expect(one.logLevel == 2)
    }

    /// 7.x: the number is the order, also across kinds and beyond one digit.
    @Test func numbersAreTheOrder() throws {
        let tags = ["comment:10:test_expect_msg=c", "comment:2:test_expect_msg=a", "comment:9:test_expect_not_msg=b"]
        let one = try ProgramSpecification(Annotation.read(all: tags), section: "tc")
        #expect(one.privileged.messages.map(\.pattern.text) == ["a", "b", "c"])
        #expect(one.privileged.messages.map(\.isUnwanted) == [false, true, false])
    }

    @Test func aMessageMayBeginWithANumberOrHoldAnEqualsSign() throws {
        let texts = try Annotation.read(all: [
            "comment:test_expect_msg=12=0: R1=ctx()", "comment:test_expect_msg=13=0=1",
        ]).map(\.value)
        #expect(texts == ["0: R1=ctx()", "0=1"])
        #expect(try Annotation.read("comment:4:test_expect_msg=7=8")?.value == "7=8")
    }

    @Test func tagsOfOthersAreNotOurs() throws {
        #expect(try Annotation.read("arg:ctx") == nil)
        #expect(try Annotation.read("exception_callback:cb") == nil)
    }

    @Test(arguments: [
        "comment:test_expect_miracle", "comment:5:test_expect_miracle=1", "comment:", "comment:test_caps=1",
        "comment:test_description_unpriv=x", "comment:test_retval", "comment:test_expect_success=1",
    ])
    func refusesWhatItDoesNotKnow(tag: String) {
        #expect(throws: Annotation.Problem.self) { try Annotation.read(tag) }
    }

    private func specification(_ tags: String..., section: String = "tc") throws -> ProgramSpecification {
        try ProgramSpecification(Annotation.read(all: tags), section: section, architecture: "X86_64")
    }

    @Test func theUnprivilegedRunInheritsWhatItDoesNotSay() throws {
        let one = try specification(
            "comment:test_expect_failure", "comment:test_expect_msg=1=both", "comment:test_retval=3",
            "comment:test_expect_success_unpriv")
        #expect(one.modes == [.privileged, .unprivileged])
        #expect(one.privileged.isRefused && !one.unprivileged.isRefused)
        #expect(one.unprivileged.messages.map(\.pattern.text) == ["both"])
        #expect(one.unprivileged.result == .value(3))
    }

    @Test(arguments: [
        ("INT_MIN", ProgramSpecification.ExpectedResult.value(.min)), ("_INT_MIN", .value(.min)),
        ("POINTER_VALUE", .any), ("0xbadcafe", .any), ("TEST_DATA_LEN", .value(64)), ("64", .value(64)),
        ("-22", .value(-22)), ("0xffffffff", .value(-1)), ("4294967295", .value(-1)),
    ])
    func readsReturnValuesOfAllEras(text: String, result: ProgramSpecification.ExpectedResult) throws {
        #expect(try specification("comment:test_retval=\(text)").privileged.result == result)
    }

    @Test func readsFlagsCapabilitiesAndPlaces() throws {
        let one = try specification(
            "comment:1:test_prog_flags=BPF_F_TEST_STATE_FREQ", "comment:2:test_prog_flags=!BPF_F_TEST_REG_INVARIANTS",
            "comment:3:test_prog_flags=0x4", "comment:4:test_caps_unpriv=39|12", "comment:5:test_btf_path=x.bpf.o",
            "comment:6:test_linear_size=20", "comment:7:load_mode=no_jited", "comment:8:test_auxiliary_unpriv",
            "comment:9:test_description=a b=c")
        #expect(one.flags.map(\.bits) == [8, 128, 4])
        #expect(one.flags.map(\.isCleared) == [false, true, false])
        #expect(one.capabilities == 1 << 39 | 1 << 12)
        #expect(one.btfPath == "x.bpf.o" && one.linearSize == 20 && one.loadMode == .interpreted)
        #expect(one.isAuxiliary && one.modes == [.unprivileged])
        #expect(one.description == "a b=c")
    }

    @Test func dotsStandForAnyNumberOfLines() throws {
        let one = try specification(
            "comment:1:test_expect_xlated=a", "comment:2:test_expect_xlated=b", "comment:3:test_expect_xlated=...",
            "comment:4:test_expect_xlated=c")
        #expect(one.privileged.xlated.map(\.isOnNextLine) == [true, true, false])
    }

    /// Lines of native code belong to the architecture named before them.
    @Test func countsNativeLinesOfThisMachineAlone() throws {
        let one = try specification(
            "comment:1:test_arch=X86_64", "comment:2:test_jited=endbr64", "comment:3:test_arch=ARM64",
            "comment:4:test_jited=bti c", "comment:5:test_jited=ret")
        #expect(one.architectures == ["X86_64", "ARM64"])
        #expect(one.privileged.jitedLines == 1)
    }

    @Test(arguments: [
        "comment:test_retval=many", "comment:test_arch=VAX", "comment:load_mode=fast",
        "comment:test_prog_flags=BPF_F_X",
        "comment:test_caps_unpriv=CAP_X", "comment:test_expect_msg=1={{(}}", "comment:test_expect_msg=1={{open",
        "comment:test_jited=1=x", "comment:test_log_level=", "comment:test_retval=0xfffffffffffffffff",
    ])
    func refusesValuesThatMeanNothing(tag: String) {
        #expect(throws: Annotation.Problem.self) { try specification(tag) }
    }

    @Test func aLinearSizeIsForPacketsAlone() {
        #expect(throws: Annotation.Problem.self) {
            try specification("comment:1:test_linear_size=20", section: "xdp")
        }
    }
}

@Suite struct MessageMatcherTests {
    /// - Parameter texts: `!` in front of an unwanted one, `>` in front of one that must be on the next line.
    private func check(_ log: String, _ texts: String...) throws -> MessageMatcher.Mismatch? {
        var expected: [ExpectedText] = []
        for text in texts {
            let mark = text.first
            let isMarked = mark == "!" || mark == ">"
            expected.append(
                ExpectedText(
                    pattern: try MessagePattern(isMarked ? String(text.dropFirst()) : text), isUnwanted: mark == "!",
                    isOnNextLine: mark == ">"))
        }
        return MessageMatcher(expected: expected).check(log)
    }

    private let log = "0: (b7) r0 = 1\n1: (95) exit\nR0 is [1].*\n"

    @Test func looksForTextsInOrder() throws {
        #expect(try check(log, "r0 = 1", "exit") == nil)
        let mismatch = try check(log, "exit", "r0 = 1")
        #expect(mismatch?.kind == .missing)
        #expect(mismatch?.index == 1)
        #expect(mismatch?.found.first?.text == "exit")
        #expect(mismatch?.found.first?.line == 2)
    }

    /// Each is looked for behind the end of the one before: two equal texts are two places.
    @Test func anEqualTextTwiceIsTwoPlaces() throws {
        #expect(try check("a a", "a", "a") == nil)
        #expect(try check("a b", "a", "a")?.index == 1)
    }

    @Test func onlyWhatIsInBracesIsARegularExpression() throws {
        #expect(try check(log, "[1].*") == nil)
        #expect(try check(log, "{{[0-9]+}}: (95) {{ex|foo}}it") == nil)
        #expect(try check(log, "{{^}}exit")?.kind == .missing)
        #expect(try check(log, "{{^}}1: (95) exit{{$}}") == nil)
        #expect(try check("a\nb", "a{{.*}}b")?.kind == .missing, "a dot is no new line")
    }

    @Test func anUnwantedTextIsLookedForBetweenItsNeighbours() throws {
        #expect(try check("x\na\nb\nx", "a", "!x", "b") == nil)
        let mismatch = try check("a\nx\nb", "a", "!x", "b")
        #expect(mismatch?.kind == .unwanted(line: 2))
        #expect(mismatch?.index == 1)
        #expect(try check("a\nb\nx", "b", "!x")?.kind == .unwanted(line: 3))
        #expect(try check("a\ny\nb", "a", "!x", "!y", "b")?.index == 2)
    }

    @Test func aMissingTextBehindAnUnwantedOneIsWhatIsWrong() throws {
        let mismatch = try check("a\nx", "a", "!x", "b")
        #expect(mismatch?.kind == .missing)
        #expect(mismatch?.index == 2)
    }

    @Test func linesFollowOneAnother() throws {
        #expect(try check("a\nb\nc", ">a", ">b", ">c") == nil)
        #expect(try check("z\na\nb", ">a", ">b") == nil)
        #expect(try check("a\nx\nb", ">a", ">b")?.kind == .wrongLine(expected: 2, observed: 3))
        #expect(try check("a\nx\nb", ">a", "b") == nil)
    }

    @Test func anEmptyLogHasNothing() throws {
        #expect(try check("", "a")?.kind == .missing)
        #expect(try check("", "!a") == nil)
        #expect(try check("") == nil)
    }

    @Test func anExcerptShowsTheLinesAroundAndTheLast() throws {
        let log = (1...100).map { "line \($0)." }.joined(separator: "\n") + "\n"
        let mismatch = try #require(try check(log, "line 50.", "nowhere"))
        let lines = mismatch.excerpt(of: log).split(separator: "\n")
        #expect(lines.contains("50: line 50."))
        #expect(lines.last == "100: line 100.")
        #expect(!lines.contains("20: line 20."))
    }
}

@Suite struct DisassemblerTests {
    private let disassembler = Disassembler { $0 == 8 ? "bpf_get_smp_processor_id" : nil }

    /// One instruction: code, registers (source, destination), offset, immediate.
    private func text(_ code: UInt8, _ registers: UInt8 = 0, _ offset: Int16 = 0, _ immediate: Int32 = 0) -> String {
        let bits = UInt16(bitPattern: offset)
        let value = UInt32(bitPattern: immediate)
        let bytes =
            [code, registers, UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
            + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        return disassembler.lines(bytes).first ?? ""
    }

    @Test func speaksTheKernelsWords() {
        #expect(text(0xb7, 0x00, 0, 1) == "0: r0 = 1")
        #expect(text(0xb4, 0x01, 0, -1) == "0: w1 = -1")
        #expect(text(0xbf, 0x21) == "0: r1 = r2")
        #expect(text(0xbc, 0x21, 8) == "0: w1 = (s8)w2")
        #expect(text(0x37, 0x02, 1, 3) == "0: r2 s/= 3")
        #expect(text(0x87, 0x03) == "0: r3 = -r3")
        #expect(text(0xdc, 0x01, 0, 16) == "0: r1 = be16 r1")
        #expect(text(0xd7, 0x01, 0, 32) == "0: r1 = bswap32 r1")
        #expect(text(0xbf, 0x10, -1) == "0: r0 = &(void __percpu *)(r1)")
        #expect(text(0x61, 0x10, 4) == "0: r0 = *(u32 *)(r1 +4)")
        #expect(text(0x91, 0xa2, -8) == "0: r2 = *(s8 *)(r10 -8)")
        #expect(text(0x7b, 0x1a, -16) == "0: *(u64 *)(r10 -16) = r1")
        #expect(text(0x62, 0x0a, -4, 7) == "0: *(u32 *)(r10 -4) = 7")
        #expect(text(0xdb, 0x1a, -8, 0) == "0: lock *(u64 *)(r10 -8) += r1")
        #expect(text(0xdb, 0x1a, -8, 1) == "0: r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)")
        #expect(text(0xc3, 0x1a, -8, 0xf1) == "0: r0 = atomic_cmpxchg((u32 *)(r10 -8), r0, r1)")
        #expect(text(0xdb, 0x10, 0, 0x100) == "0: r0 = load_acquire((u64 *)(r1 +0))")
        #expect(text(0x05, 0, -3) == "0: goto pc-3")
        #expect(text(0x06, 0, 0, 70000) == "0: gotol pc+70000")
        #expect(text(0xe5, 0, 4) == "0: may_goto pc+4")
        #expect(text(0x55, 0x01, 2, -1) == "0: if r1 != 0xffffffff goto pc+2")
        #expect(text(0xae, 0x21, 2) == "0: if w1 < w2 goto pc+2")
        #expect(text(0x85, 0x00, 0, 8) == "0: call bpf_get_smp_processor_id")
        #expect(text(0x85, 0x00, 0, 123456) == "0: call unknown")
        #expect(text(0x85, 0x10, 5, 1) == "0: call pc+5")
        #expect(text(0x85, 0x20, 0, 77) == "0: call kernel-function")
        #expect(text(0x95) == "0: exit")
    }

    @Test func aWideLoadIsOneLineAndTwoNumbers() {
        let bytes: [UInt8] = [0x18, 1, 0, 0, 0xef, 0xbe, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]
        #expect(disassembler.lines(bytes) == ["0: r1 = 0x10000beef", "2: exit"])
    }

    /// Whatever the bytes are, there is a text.
    @Test func brokenInstructionsHaveTexts() {
        for code in UInt8.min...UInt8.max { #expect(!text(code, 0xff, -1, -1).isEmpty) }
        #expect(disassembler.lines([0x18, 0, 0]).isEmpty)
        #expect(disassembler.lines([0x18, 1, 0, 0, 1, 0, 0, 0]).count == 1)
    }
}

@Suite struct BPFObjectFileTests {
    /// A file with a program in a section of its own, its BTF, and a tag.
    static let whole = ObjectBuilder().bytes

    @Test func findsProgramsAndTags() throws {
        let file = try BPFObjectFile(Self.whole)
        #expect(file.programs == [BPFObjectFile.Program(name: "prog", section: "?tc", offset: 0)])
        #expect(try ObjectTypes(file.types).tags == ["prog": ["comment:test_expect_success"]])
    }

    /// Wherever a file is cut off, it is a problem in words, and never the end of the process.
    @Test func aTruncatedFileIsAProblem() {
        for length in 0..<Self.whole.count {
            #expect(throws: FileProblem.self, "\(length) bytes") {
                try BPFObjectFile(Array(Self.whole[..<length]))
            }
        }
    }

    /// Every byte changed in turn: it is read, or it is a problem.
    @Test func aCorruptFileEndsNothing() {
        for index in Self.whole.indices {
            for value: UInt8 in [0, 0x7f, 0xff] {
                var bytes = Self.whole
                bytes[index] = value
                do throws(FileProblem) {
                    let file = try BPFObjectFile(bytes)
                    _ = try ObjectTypes(file.types)
                    _ = SourceLines(types: file.types, extended: file.extendedTypes)
                } catch {
                    #expect(!error.cause.isEmpty && !error.advice.isEmpty)
                }
            }
        }
    }

    private func cause(_ change: (inout ObjectBuilder) -> Void) -> String {
        var builder = ObjectBuilder()
        change(&builder)
        do throws(FileProblem) {
            _ = try BPFObjectFile(builder.bytes)
            return "none"
        } catch {
            return error.cause
        }
    }

    @Test func saysWhatIsWrong() {
        #expect(cause { $0.machine = 62 } == "it is for another architecture: x86-64, not BPF")
        #expect(cause { $0.byteOrder = 2 } == "it is for the other byte order: big-endian")
        #expect(cause { $0.types = nil } == "it has no BTF, where annotations and types are kept")
        #expect(throws: FileProblem(cause: "it is empty", advice: "build it again, or copy it again")) {
            try BPFObjectFile([])
        }
        #expect(throws: FileProblem.self) { try BPFObjectFile(Array("#!/bin/sh\n".utf8)) }
        #expect(throws: FileProblem.self) { try ObjectTypes([0x9f, 0xeb, 1, 0]) }
    }

    @Test func findsWhatKeptAProgramFromTheVerifier() {
        #expect(
            Obstacle("libbpf: extern (func ksym) 'bpf_kfunc_call_test1': not found in kernel or module BTFs\n")
                == .missingInModule(what: "kfunc bpf_kfunc_call_test1", module: "bpf_testmod"))
        #expect(
            Obstacle("libbpf: extern (func ksym) 'bpf_task_frob': not found in kernel or module BTFs\n")
                == .missingInKernel(what: "kfunc bpf_task_frob"))
        #expect(
            Obstacle("libbpf: struct_ops init_kern: struct bpf_testmod_ops is not found in kernel BTF\n")
                == .missingInModule(what: "struct bpf_testmod_ops", module: "bpf_testmod"))
        #expect(Obstacle("libbpf: prog 'x': BPF program load failed: Invalid argument\n") == nil)
        #expect(Obstacle("") == nil)
    }
}

/// Makes the smallest object file that has all that is read.
struct ObjectBuilder {
    var machine: UInt16 = 247
    var byteOrder: UInt8 = 1
    var types: [UInt8]? = Self.types

    private static func word(_ value: some FixedWidthInteger) -> [UInt8] {
        (0..<(value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    /// FUNC_PROTO, FUNC prog, DECL_TAG.
    private static let types: [UInt8] = {
        let strings = Array("\0prog\0comment:test_expect_success\0".utf8)
        let list: [UInt32] = [0, 13 << 24, 0, 1, 12 << 24, 1, 6, 17 << 24, 2, .max]
        let body = list.flatMap { word($0) }
        return word(UInt16(0xeb9f)) + [1, 0] + word(UInt32(24)) + word(UInt32(0)) + word(UInt32(body.count))
            + word(UInt32(body.count)) + word(UInt32(strings.count)) + body + strings
    }()

    var bytes: [UInt8] {
        let names = Array("\0?tc\0.symtab\0.strtab\0.BTF\0prog\0".utf8)
        func name(_ text: String) -> UInt32 {
            let wanted = [0] + Array(text.utf8) + [0]
            let at = names.indices.first { names[$0...].starts(with: wanted) } ?? 0
            return UInt32(at + 1)
        }
        let code: [UInt8] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]
        let symbols =
            [UInt8](repeating: 0, count: 24) + Self.word(name("prog")) + [0x12, 0] + Self.word(UInt16(1))
            + Self.word(UInt64(0)) + Self.word(UInt64(16))
        var sections: [(name: UInt32, type: UInt32, flags: UInt64, content: [UInt8], link: UInt32)] = [
            (0, 0, 0, [], 0), (name("?tc"), 1, 6, code, 0), (name(".symtab"), 2, 0, symbols, 3),
            (name(".strtab"), 3, 0, names, 0),
        ]
        if let types { sections.append((name(".BTF"), 1, 0, types, 0)) }
        var content: [UInt8] = []
        var table: [UInt8] = []
        for section in sections {
            table += Self.word(section.name) + Self.word(section.type) + Self.word(section.flags)
            table += Self.word(UInt64(0)) + Self.word(UInt64(64 + content.count))
            table += Self.word(UInt64(section.content.count)) + Self.word(section.link) + Self.word(UInt32(0))
            table += Self.word(UInt64(1)) + Self.word(UInt64(0))
            content += section.content
        }
        let header: [UInt8] =
            [0x7f, 0x45, 0x4c, 0x46, 2, byteOrder, 1] + [UInt8](repeating: 0, count: 9) + Self.word(UInt16(1))
            + Self.word(machine) + Self.word(UInt32(1)) + Self.word(UInt64(0)) + Self.word(UInt64(0))
        return header + Self.word(UInt64(64 + content.count)) + Self.word(UInt32(0)) + Self.word(UInt16(64))
            + Self.word(UInt16(0)) + Self.word(UInt16(0)) + Self.word(UInt16(64)) + Self.word(UInt16(sections.count))
            + Self.word(UInt16(3)) + content + table
    }
}
