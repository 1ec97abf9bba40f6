// SPDX-License-Identifier: Apache-2.0
import Crashes
import Testing

@Suite struct BPFLinesTests {
    private let report = [
        "bpftest: programs", "[    1.0] bpftest: program 9d34bde5f5fa0cc2 ffffffffc0001000 331 share_and_drop",
        "bpftest: file 0 /src/bpftest/tests-bpf/kptr/lists.bpf.c", "bpftest: line 0 0 0 40 {",
        "bpftest: line 0 19 0 41 a = new(b);",
        "bpftest: line 0 100 0 43 drop(a);", "bpftest: program 1111111111111111 ffffffffc0002000 64 helper",
        "bpftest: line 1 0 0 10 static int helper(void)",
    ]

    @Test(
        arguments: [
            (0x13, false, 40, "{"), (0x13, true, 41, "a = new(b);"), (0x14, false, 41, "a = new(b);"),
            (0x64, false, 41, "a = new(b);"),
            (0x65, false, 43, "drop(a);"), (0x14b, false, 43, "drop(a);"),
        ] as [(UInt64, Bool, Int, String)])
    func aCallReturnsBehindItsLine(_ offset: UInt64, _ isExact: Bool, _ line: Int, _ source: String) throws {
        let text = "bpf_prog_9d34bde5f5fa0cc2_share_and_drop+0x\(String(offset, radix: 16))/0x14b"
        let frame = try #require(StackFrame(isExact ? "RIP: 0010:\(text)" : text))
        let place = read(report).programs.place(of: frame)
        #expect(place == BPFLines.Place(file: "tests-bpf/kptr/lists.bpf.c", line: line, source: source))
    }

    @Test func otherProgramsHaveNoPlace() throws {
        let programs = read(report).programs
        for text in [
            "bpf_prog_0000000000000000_other+0x1/0x2", "bpf_prog_9d34bde5f5fa0cc2_share_and_drop+0x999/0x14b",
            "f+0x1/0x2",
        ] {
            #expect(programs.place(of: try #require(StackFrame(text))) == nil)
        }
    }

    @Test func anAddressIsFoundInItsFunction() {
        let programs = read(report).programs
        #expect(
            programs.place(at: 0xffff_ffff_c000_2008, isExact: true)?.frame
                == "bpf_prog_1111111111111111_helper+0x8/0x40")
        #expect(programs.place(at: 0xffff_ffff_c000_2008, isExact: true)?.place?.line == 10)
        #expect(programs.place(at: 0xffff_ffff_c000_2040, isExact: true) == nil)
    }

    @Test(arguments: [
        "bpftest: program", "bpftest: program x y z w", "bpftest: line 9 0 0 1 x", "bpftest: line -1 0 0 1 x",
        "bpftest: line 0 x 0 1",
        "bpftest: file", "bpftest: file x y", "bpftest: programs programs", "bpftest: ",
    ])
    func nonsenseIsPassedOver(_ line: String) {
        #expect(read(report + [line]).programs.functions.count == 2)
        #expect(read([line]).programs.isEmpty)
    }

    @Test func whatIsKeptIsBounded() {
        var reader = ConsoleReader()
        for index in 0..<5000 { reader.read("bpftest: program 9d34bde5f5fa0cc2 \(index) 10 f\(index)") }
        for index in 0..<60_000 { reader.read("bpftest: line 0 \(index) 0 1 x") }
        #expect(reader.programs.functions.count == 2000)
        #expect((reader.programs.functions.first?.lines.count ?? 0) == 50_000)
    }
}

@Suite struct SymbolTableTests {
    private let table = SymbolTable(
        """
        ffffffff81000000 T _stext
        ffffffff81000100 t bpf_prog_load
        ffffffff81000300 t show
        ffffffff81000340 t other
        ffffffff81000400 t show
        ffffffff81000480 D data
        ffffffff81000500 T last
        nonsense
        """)

    @Test func functionsAreFoundByAddress() throws {
        let found = try #require(table.function(at: 0xffff_ffff_8100_0123))
        #expect(found == ("bpf_prog_load", 0x23, 0x200))
        #expect(table.function(at: 0xffff_ffff_80ff_ffff) == nil)
        #expect(table.function(at: 0xffff_ffff_9100_0000) == nil)
    }

    @Test func ofTwoWithOneNameTheSizeDecides() throws {
        #expect(table.address(of: try #require(StackFrame("show+0x10/0x40"))) == 0xffff_ffff_8100_0310)
        #expect(table.address(of: try #require(StackFrame("show+0x10/0x100"))) == 0xffff_ffff_8100_0410)
        #expect(table.address(of: try #require(StackFrame("show+0x10/0x80"))) == nil)
        #expect(table.address(of: try #require(StackFrame("show+0x10/0x40 [m]"))) == nil)
        #expect(table.address(of: "bpf_prog_load") == 0xffff_ffff_8100_0100)
        #expect(table.address(of: "show") == nil)
    }

    private static let start = UInt64(0xffff_ffff_8110_0000)
    private static let binutils = """
        0xffffffff81100000
        start_kernel
        /src/linux/init/main.c:900
        0xffffffff81000110
        refcount_inc
        /src/linux/build/../include/linux/refcount.h:300 (discriminator 3)
        bpf_prog_load
        /src/linux/kernel/bpf/syscall.c:2800
        0xffffffff81000001
        ??
        ??:0
        """
    private static let elfutils = """
        0xffffffff81100000
        start_kernel
        /src/linux/init/main.c:900:1
        0xffffffff81000110
        refcount_inc inlined at /src/linux/kernel/bpf/syscall.c:2800 in bpf_prog_load
        /src/linux/include/linux/refcount.h:300:5
        bpf_prog_load
        /src/linux/kernel/bpf/syscall.c:2800:9
        """

    @Test(arguments: [binutils, elfutils])
    func addr2lineIsUnderstood(_ output: String) {
        let lines = SourceLines(addr2line: output, start: Self.start)
        #expect(
            lines.places[0xffff_ffff_8100_0110] == [
                .init(function: "refcount_inc", file: "include/linux/refcount.h", line: 300),
                .init(function: "bpf_prog_load", file: "kernel/bpf/syscall.c", line: 2800),
            ])
        #expect(lines.places[0xffff_ffff_8100_0001]?.first?.file == nil)
    }

    @Test func aTraceIsResolved() throws {
        var reader = read(
            try console("refcount-6.12") + [
                "bpftest: programs", "bpftest: program 9d34bde5f5fa0cc2 ffffffffc0001000 331 share_and_drop",
                "bpftest: file 0 lists.bpf.c", "bpftest: line 0 0 0 40 drop(a);",
            ])
        let programs = reader.programs
        let trace = ResolvedTrace(try #require(reader.take().first), programs: programs)
        #expect(trace.programLine == "lists.bpf.c:40: drop(a);")
        #expect(
            Array(trace.lines.prefix(3)) == [
                "refcount_warn_saturate+0xd8/0xe0", "bpf_prog_share_and_drop (lists.bpf.c:40: drop(a);)",
                "bpf_test_run+0x1e9/0x350",
            ])
        #expect(!trace.lines.contains { $0.contains("__mmap_region") })
        let symbols = SymbolTable("ffffffff81000000 T bpf_test_run\nffffffff81000350 T next")
        let source = SourceLines(addr2line: "0xffffffff810001e8\nbpf_test_run\nnet/bpf/test_run.c:434", start: nil)
        let resolved = ResolvedTrace(
            Complaint(kind: .oops, lines: ["Call Trace:", " bpf_test_run+0x1e9/0x350"]), programs: programs,
            symbols: symbols,
            source: source)
        #expect(resolved.lines == ["bpf_test_run (net/bpf/test_run.c:434)"])
    }

    /// What kmemleak remembers of who allocated is an address; its program has gone with its case (6.12, recorded).
    @Test func aProgramThatHasGoneIsFoundByItsAddress() throws {
        let leak = [
            "[   31.0][   T60] unreferenced object 0xffff8880087d5a00 (size 64):",
            "[   31.0][   T60]   comm \"agent\", pid 59, jiffies 4294966536",
            "[   31.0][   T60]   backtrace (crc d65ecb27):",
            "[   31.0][   T60]     __kmalloc_cache_noprof+0x216/0x390",
            "[   31.0][   T60]     bpf_crypto_ctx_create+0x291/0x9f0",
            "[   31.0][   T60]     0xffffffffa0000686",
            "[   31.0][   T60]     bpf_prog_test_run_syscall+0x317/0x660",
        ]
        var reader = read(
            [
                "bpftest: programs", "bpftest: program 9d34bde5f5fa0cc2 ffffffffa0000664 331 create",
                "bpftest: file 0 crypto.bpf.c", "bpftest: line 0 0 0 70 {", "bpftest: line 0 16 0 72 return use();",
            ] + leak)
        let programs = reader.programs
        let complaint = try #require(reader.take().first)
        #expect(ResolvedTrace.hasBareAddresses(complaint))
        let trace = ResolvedTrace(complaint, programs: programs)
        #expect(trace.programLine == "crypto.bpf.c:72: return use();")
        #expect(
            trace.lines.suffix(3) == [
                "bpf_crypto_ctx_create+0x291/0x9f0", "bpf_prog_create (crypto.bpf.c:72: return use();)",
                "bpf_prog_test_run_syscall+0x317/0x660",
            ])
        let alone = ResolvedTrace(complaint, programs: BPFLines())
        #expect(alone.programLine == nil)
        #expect(alone.lines.contains("0xffffffffa0000686"))
        #expect(complaint.title == "memory leak in bpf_crypto_ctx_create")
    }

    @Test(
        arguments: [
            ("    0xffffffffa0000686", 0xffff_ffff_a000_0686),
            (" [<00000000c0ffee00>] 0xffffffffa0000686", 0xffff_ffff_a000_0686),
            ("0xffffffffa0000686 x", nil), ("0xa0000686", nil), ("ffffffffa0000686", nil), ("f+0x1/0x2", nil),
        ] as [(String, UInt64?)])
    func addressesWithoutNames(_ line: String, _ address: UInt64?) {
        #expect(StackFrame.bareAddress(line) == address)
    }
}

@Suite struct AllowlistTests {
    private let warning = [
        "WARNING: CPU: 0 PID: 61 at kernel/bpf/tcx.c:1 tcx_link_release+0x1/0x2", "---[ end trace 0 ]---",
    ]

    @Test(arguments: [
        ("tcx_link_release", 0), ("^WARNING: .* tcx_link_(release|x)\\+0x", 0), ("WARNING in tcx", 0),
        ("# tcx\n\n  \nother", 1),
        ("", 1), ("TCX", 1), ("other\ntcx\\.c:[0-9]+", 0),
    ])
    func expressionsLetComplaintsPass(_ text: String, _ left: Int) throws {
        var reader = read(warning, allowlist: try SplatAllowlist(text))
        #expect(reader.complaints.count == left)
        #expect(reader.take().count == left)
        #expect(reader.passedOver.values.reduce(0, +) == 1 - left)
        #expect(reader.take().isEmpty)
    }

    /// It is the message that tells what it is, in front of the place or, since 6.19, behind it.
    @Test(arguments: [
        [
            "refcount_t: underflow; use-after-free.",
            "WARNING: CPU: 0 PID: 61 at lib/refcount.c:28 refcount_warn_saturate+0xd8/0xe0",
        ],
        [
            "WARNING: lib/refcount.c:28 at refcount_warn_saturate+0xd8/0xe0, CPU#0: agent/61",
            "refcount_t: underflow; use-after-free.",
        ],
    ]) func messagesOfRefcounts(_ lines: [String]) throws {
        let all = ["------------[ cut here ]------------"] + lines + ["---[ end trace 0 ]---"]
        #expect(read(all, allowlist: try SplatAllowlist("^refcount_t: underflow")).complaints.isEmpty)
        #expect(read(all, allowlist: try SplatAllowlist("^refcount_t: saturated")).complaints.count == 1)
    }

    @Test func aLineByItself() throws {
        let list = try SplatAllowlist("# c\na+b\n^c")
        #expect(list.patterns == ["a+b", "^c"])
        #expect(list.allows(line: "xaab") && list.allows(line: "c") && !list.allows(line: "xc"))
    }

    @Test(arguments: [("a\n(b", 2, "(b"), ("[", 1, "["), ("# c\n.*", 2, ".*"), ("x|", 1, "x|")])
    func aBadLineIsNamed(_ text: String, _ line: Int, _ pattern: String) throws {
        let mistake = try #require(throws: SplatAllowlist.Mistake.self) { _ = try SplatAllowlist(text) }
        #expect(mistake.line == line)
        #expect(mistake.description.contains("'\(pattern)'"))
    }
}

@Suite struct ProcessorStateTests {
    /// QEMU 10.0 with two processors; shortened.
    private let registers = """
        \r
        CPU#0\r
        RAX=0000000000000001 RBX=ffff888003a1c508 RCX=0000000000000000 RDX=0000000000000000\r
        RSI=0000000000000000 RDI=ffffc90000038008 RBP=ffffc9000018fd50 RSP=ffffc9000018fd40\r
        RIP=ffffffff81000123 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r
        GS =0000 ffff88800f200000 00000000 00000000\r
        IDT=     fffffe0000000000 00000fff\r
        FPR0=0000000000000000 0000\r
        XMM00=0000000000000000 0000000000000000\r
        CPU#1\r
        RAX=0000000000000001 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000000\r
        RSI=0000000000000000 RDI=0000000000000000 RBP=0000000000000000 RSP=00007ffd00000000\r
        RIP=0000000000401000 RFL=00000246 [---Z-P-] CPL=3 II=0 A20=1 SMM=0 HLT=1\r
        """

    @Test func registersAreRead() throws {
        let states = ProcessorState.parse(registers)
        try #require(states.count == 2)
        #expect(states[0].instruction == 0xffff_ffff_8100_0123)
        #expect(states[0].stack == 0xffff_c900_0018_fd40)
        #expect(states[0].interruptTable == 0xffff_fe00_0000_0000)
        #expect(!states[0].takesInterrupts && !states[0].isHalted && states[0].privilege == 0)
        #expect(states[1].takesInterrupts && states[1].isHalted && states[1].privilege == 3)
        #expect(!states[0].lines.contains { $0.hasPrefix("XMM") })
        #expect(ProcessorState.parse("nonsense\nCPU#x\nCPU#3").isEmpty)
    }

    @Test func aStackIsReadByNames() {
        let words = ProcessorState.words(
            "ffffc9000018fd40: 0xffffffffc0002008 0x0000000000000001\r\nffffc9000018fd50: 0xffffffff81000140 0x12\r\n")
        #expect(words == [0xffff_ffff_c000_2008, 1, 0xffff_ffff_8100_0140, 0x12])
        let symbols = SymbolTable("ffffffff81000100 T __sys_bpf\nffffffff81000200 T next")
        let programs = read([
            "bpftest: program 1111111111111111 ffffffffc0002000 64 helper", "bpftest: file 0 a.c",
            "bpftest: line 0 0 0 10 x();",
        ]).programs
        let trace = ProcessorState.parse(registers)[0].trace(stack: words, symbols: symbols, programs: programs)
        #expect(
            trace == [
                "__sys_bpf+0x23/0x100", "bpf_prog_1111111111111111_helper+0x8/0x40 (a.c:10: x();)",
                "__sys_bpf+0x40/0x100",
            ])
        let state = ProcessorState.parse(registers)[0]
        #expect(state.programLine(stack: words, programs: programs) == "a.c:10: x();")
        #expect(state.programLine(stack: words, programs: BPFLines()) == nil)
    }

    @Test func aProgramOfAnotherMachineIsNotNamed() {
        let symbols = SymbolTable("ffffffff81000100 t bpf_prog_61a02c83c417aa24_c66\nffffffff81000200 T next")
        let trace = ProcessorState.parse(registers)[0].trace(stack: [], symbols: symbols, programs: BPFLines())
        #expect(trace == ["a BPF program"])
    }

    /// A gate as the processor has it: SDM volume 3, figure 6-8.
    @Test func aGateNamesItsHandler() {
        #expect(ProcessorState.handler(gate: (0x81c0_8e00_0010_0a10, 0x0000_0000_ffff_ffff)) == 0xffff_ffff_81c0_0a10)
    }
}
