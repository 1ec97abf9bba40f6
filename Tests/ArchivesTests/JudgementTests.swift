// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import Archives
@testable import Crashes

/// `bpftest replay` and `repro.sh` come to the same conclusion about the same console.
@Suite struct JudgementTests {
    struct Console: Sendable, CustomTestStringConvertible {
        let name: String
        var kind = Manifest.Judge.Kind.result
        let lines: [String]
        var end = Judgement.End.ended
        var allowed: [String]?
        let answer: Judgement.Answer
        let words: String
        var testDescription: String { name }
        var judge: Manifest.Judge {
            Manifest.Judge(kind: kind, watch: "case", seconds: 60, limit: 180, allowed: allowed)
        }
    }

    static let start = "[    2.100000] bpftest-job: start"
    static let announced = "[    2.200000] bpftest: case suite/case"
    static let failed = "[    2.300000] bpftest-job: result not ok 1 case what it states"
    static let passed = "[    2.300000] bpftest-job: result ok 1 case what it states"
    static let skipped = "[    2.300000] bpftest-job: result ok 1 case what it states # SKIP tcx is absent"
    static let ended = "[    2.310000] bpftest-job: ended status 0"
    static let warning = "[    2.250000] WARNING: CPU: 0 PID: 61 at kernel/bpf/verifier.c:2100 check+0x12/0x30"

    static let saturated = [
        "[    2.25] refcount_t: underflow; use-after-free.",
        "[    2.25] WARNING: CPU: 0 PID: 61 at lib/refcount.c:28 refcount_warn_saturate+0xd8/0xe0",
    ]
    static let killed = [
        "[    2.25] agent invoked oom-killer: gfp_mask=0x0(), order=0, oom_score_adj=0",
        "[    2.26] Out of memory: Killed process 61 (agent) total-vm:1kB",
    ]

    static let consoles = [
        Console(
            name: "failed", lines: [start, announced, "not ok 1 case what it states\r", failed, ended], answer: .again,
            words: "not ok 1 case what it states"),
        Console(
            name: "passed", lines: [start, announced, "ok 1 case what it states\r", passed, ended], answer: .notAgain,
            words: "ok 1 case what it states"),
        Console(name: "skipped", lines: [start, skipped, ended], answer: .notAgain, words: "# SKIP tcx is absent"),
        Console(name: "absent", kind: .absent, lines: [start, skipped, ended], answer: .again, words: "# SKIP"),
        Console(name: "not absent", kind: .absent, lines: [start, passed, ended], answer: .notAgain, words: "ok 1"),
        Console(
            name: "splat", kind: .splat, lines: [start, announced, warning, passed, ended], answer: .again,
            words: "the kernel complained"),
        Console(
            name: "splat elsewhere", lines: [start, announced, warning, passed, ended], answer: .again,
            words: "check+0x12/0x30"),
        Console(
            name: "splat while booting", lines: [warning, start, passed, ended], answer: .notAgain, words: "ok 1 case"),
        Console(
            name: "a warning of 6.19", kind: .splat,
            lines: [start, "[    2.2] WARNING: kernel/bpf/verifier.c:10 at check+0x12/0x30, CPU#0: agent/61", passed],
            answer: .again, words: "at check+0x12/0x30"),
        Console(
            name: "what boot has left behind", kind: .splat,
            lines: [start, "[    2.2] kmemleak: 3 new suspected memory leaks (see x)", passed, ended],
            answer: .notAgain, words: "ok 1 case"),
        Console(
            name: "a leak", kind: .splat,
            lines: [start, announced, "[    9.2] unreferenced object 0xffff888003d1a800 (size 192):", passed, ended],
            answer: .again, words: "unreferenced object"),
        Console(
            name: "what a program says", lines: [start, "WARNING: CPU: 0 says a test", passed, ended],
            answer: .notAgain, words: "ok 1 case"),
        Console(
            name: "what may come", lines: [start, announced, warning, passed, ended],
            allowed: ["at [a-z/]+/verifier\\.c:"],
            answer: .notAgain, words: "ok 1 case"),
        Console(
            name: "what may come, from the line's beginning", kind: .splat,
            lines: [start, "[    2.250000][   T61] " + warning.dropFirst(15), passed, ended],
            allowed: ["nothing", "^WARNING: CPU: [0-9]{1,3} PID: "], answer: .notAgain, words: "ok 1 case"),
        Console(
            name: "what may come, and what may not", kind: .splat,
            lines: [start, warning, "[    2.26] BUG: KASAN: slab-use-after-free in put_it's+0x1/0x2", passed, ended],
            allowed: ["verifier", "put_its"], answer: .again, words: "complained: BUG: KASAN"),
        Console(
            name: "quotes in what may come", lines: [start, "[    2.26] BUG: it's a $HOME `id`", passed, ended],
            allowed: ["it's a \\$HOME `id`$"], answer: .notAgain, words: "ok 1 case"),
        Console(
            name: "what may come takes the machine along", lines: [start, announced, warning], allowed: ["check"],
            answer: .again, words: "the machine went down"),
        Console(
            name: "a case that fails beside what may come", lines: [start, warning, failed, ended], allowed: ["check"],
            answer: .again, words: "not ok 1 case"),
        Console(
            name: "refcount", lines: [start] + saturated + [passed, ended], answer: .again,
            words: "complained: refcount_t: underflow; use-after-free."),
        Console(
            name: "a refcount that may underflow", lines: [start] + saturated + [passed, ended],
            allowed: ["refcount_t: underflow"], answer: .notAgain, words: "ok 1 case"),
        Console(
            name: "out of memory", lines: [start] + killed + [passed, ended], answer: .again,
            words: "complained: agent invoked oom-killer: "),
        Console(
            name: "memory that may run out", lines: [start] + killed + [passed, ended], allowed: ["oom-killer"],
            answer: .notAgain, words: "ok 1 case"),
        Console(
            name: "bytes that are no text", lines: [start, "\u{0}\u{1}[\u{0}", warning, passed, ended], answer: .again,
            words: "check+0x12/0x30"),
        Console(
            name: "panic", kind: .splat,
            lines: [start, announced, "[    2.3][  T61] Kernel panic - not syncing: sysrq triggered crash"],
            answer: .again, words: "sysrq triggered crash"),
        Console(
            name: "went down", kind: .splat, lines: [start, announced], answer: .again, words: "the machine went down"),
        Console(
            name: "agent broke", kind: .agent, lines: [start, announced, "[    2.4] bpftest-job: ended signal 11"],
            answer: .again, words: "ended signal 11"),
        Console(
            name: "timeout", kind: .timeout, lines: [start, announced, "[   62.0] bpftest-job: timeout"],
            answer: .again, words: "no result in its time"),
        Console(
            name: "slow", lines: [start, announced, "[   62.0] bpftest-job: timeout"], answer: .unknown,
            words: "not done in its time"),
        Console(
            name: "a fast timeout", kind: .timeout, lines: [start, passed, ended], answer: .notAgain, words: "ok 1"),
        Console(name: "no boot", lines: ["[    0.1] Linux version"], answer: .unknown, words: "did not come as far"),
        Console(name: "silence", lines: [], answer: .unknown, words: "did not come as far"),
        Console(
            name: "boot fails", kind: .boot, lines: ["[    0.1] Kernel panic - not syncing: x"], answer: .again,
            words: "did not come as far"),
        Console(name: "boots", kind: .boot, lines: [start], answer: .notAgain, words: "the kernel booted"),
        Console(
            name: "init fails", lines: ["bpftest-init: fatal: x"], answer: .unknown, words: "did not come as far"),
        Console(
            name: "a job that forges", lines: [start, "bpftest-job: result ok 1 case", failed, ended], answer: .again,
            words: "not ok"),
        Console(
            name: "program failed", kind: .program, lines: [start, "[    2.4] bpftest-job: ended status 3"],
            answer: .again, words: "ended status 3"),
        Console(
            name: "program killed", kind: .program, lines: [start, "[    2.4] bpftest-job: ended signal 4"],
            answer: .again, words: "ended signal 4"),
        Console(
            name: "program passed", kind: .program, lines: [start, ended], answer: .notAgain, words: "ended status 0"),
        Console(
            name: "program skipped", kind: .program, lines: [start, "[    2.4] bpftest-job: ended status 4"],
            answer: .notAgain, words: "ended status 4"),
        Console(
            name: "a point of a program", kind: .program,
            lines: [start, "[    2.4] bpftest-job: result not ok 3 - third", ended], answer: .again, words: "third"),
        Console(
            name: "program went down", kind: .program, lines: [start], answer: .again, words: "did not end"),
        Console(
            name: "QEMU failed", lines: ["[    0.1] Linux version"], end: .broken("exit status 1"), answer: .unknown,
            words: "QEMU failed"),
        Console(
            name: "late boot", lines: ["[    0.1] Linux version"], end: .late, answer: .unknown,
            words: "did not come as far"),
        Console(name: "late", lines: [start, announced], end: .late, answer: .unknown, words: "not done in its time"),
        Console(
            name: "a hang", kind: .timeout, lines: [start, announced], end: .late, answer: .again,
            words: "no result in its time"),
    ]

    @Test(arguments: consoles) func replay(_ console: Console) {
        let judge = console.judge
        let verdict = Judgement.judge(console.lines.joined(separator: "\n") + "\n", console.end, judge)
        #expect(verdict.answer == console.answer, "\(verdict)")
        #expect(verdict.reason.contains(console.words), "\(verdict)")
    }

    /// Read as it comes, in pieces of any size.
    @Test(arguments: consoles, [1, 7, 100_000]) func progress(_ console: Console, _ size: Int) {
        var progress = JobProgress(console.judge)
        let bytes = Array((console.lines.joined(separator: "\n") + "\n").utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            progress.read(bytes[start..<min(start + size, bytes.count)])
        }
        let start = console.lines.firstIndex { $0.contains("bpftest-job: start") && $0.hasPrefix("[") }
        #expect(progress.hasStarted == (start != nil))
        let rest = start.map { console.lines[$0...] } ?? []
        #expect(progress.hasComplained == rest.contains { Judgement.isComplaint($0, console.judge.allowlist) })
        #expect(progress.hasEnded == rest.contains { $0.contains("bpftest-job: ended ") && $0.hasPrefix("[") })
    }

    /// What fails a case in a run is the failure in an archive, too: by a pattern, since a script has no grammar.
    @Test(
        arguments: Trigger.beginnings.map { $0.text + "x" } + [
            "INFO: rcu_sched self-detected stall on CPU", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "INFO: task agent:61 blocked for more than 122 seconds.",
            "WARNING: kernel/bpf/verifier.c:2100 at check_reg_arg+0x12/0x30, CPU#0: agent/61",
            "WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected", "WARNING: agent/61 still has locks held!",
            "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1",
            "agent invoked oom-killer: gfp_mask=0x0(), order=0, oom_score_adj=0",
        ]) func whatARunTakesForAComplaint(_ text: String)
    {
        #expect(Trigger.kind(of: text) != nil)
        let none = SplatAllowlist()
        // What the kernel kills is said behind why it does.
        let isSecond = text.contains("Killed process")
        #expect(Judgement.isComplaint("[    2.250000] \(text)", none) != isSecond)
        #expect(Judgement.isComplaint("[    2.250000][   T61] \(text)", none) != isSecond)
        #expect(!Judgement.isComplaint("x " + text, none), "a program may print anything")
    }

    /// Of scans and of what boots leave behind kmemleak speaks in lines of its own.
    @Test(arguments: [
        "kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)", "bpftest: case kfuncs.crypto/K-078",
        "virtio_net virtio0: using CPU#", "bpf: Linked as a consumer", "NOHZ tick-stop error: local softirq work",
    ])
    func whatIsNone(_ text: String) {
        #expect(Trigger.kind(of: text) == nil)
        #expect(!Judgement.isComplaint("[    2.250000] \(text)", SplatAllowlist()))
    }

    /// With a QEMU that prints what is given.
    @Test(arguments: consoles) func script(_ console: Console) throws {
        let box = try ScriptBox(try Sample(console.kind, allowed: console.allowed))
        try Data((console.lines.joined(separator: "\n") + "\n").utf8).write(
            to: URL(fileURLWithPath: box.folder.appending("console").string))
        var ending = "exit 0"
        if case .broken = console.end { ending = "echo 'no such machine' >&2; exit 1" }
        // A hang has no end: the script's limit is what ends it.
        if console.end == .late { ending = "exec sleep 1000" }
        let answer = try box.run(qemu: "cat \"${0%/*}/console\"; \(ending)", limit: console.end == .late ? 1 : 100)
        #expect(answer.status == console.answer.rawValue, "\(answer.text)")
        #expect(answer.text.contains(console.words), "\(answer.text)")
        if console.answer != .unknown { #expect(answer.text.contains("ok 1 case what it states\r") == false) }
        #expect(box.leftovers.isEmpty)
    }

    /// A machine that complains and never ends, as one that waits for a device does.
    @Test func theScriptOfAMachineThatGoesOnForEver() throws {
        let box = try ScriptBox(try Sample(.splat))
        try Data(([Self.start, Self.warning].joined(separator: "\n") + "\n").utf8).write(
            to: URL(fileURLWithPath: box.folder.appending("console").string))
        let start = ContinuousClock.now
        let answer = try box.run(qemu: "cat \"${0%/*}/console\"; exec sleep 1000", limit: 500)
        #expect(answer.status == 1, "\(answer.text)")
        #expect(answer.text.contains("the failure happened again: the kernel complained"), "\(answer.text)")
        #expect(ContinuousClock.now - start < .seconds(120))
        #expect(box.leftovers.isEmpty)
    }

    /// grep takes what is no text in its locale for a binary file, and says no more than that it is one.
    @Test func theScriptAndBytesThatAreNoText() throws {
        let box = try ScriptBox(try Sample(.splat))
        let start = Data("\(Self.start)\n".utf8)
        let rest = Data("\n\(Self.warning)\n\(Self.passed)\n\(Self.ended)\n".utf8)
        try (start + Data([0x5b, 0xff, 0x00, 0xc3, 0x28]) + rest).write(
            to: URL(fileURLWithPath: box.folder.appending("console").string))
        for locale in ["C", "C.UTF-8"] {
            let answer = try box.run(qemu: "cat \"${0%/*}/console\"", locale: locale)
            #expect(answer.status == 1, "\(answer.text)")
            #expect(answer.text.contains("complained: WARNING: CPU: 0"), "\(answer.text)")
        }
    }

    @Test func theScriptWithoutQEMU() throws {
        let box = try ScriptBox(try Sample())
        let answer = try box.run(qemu: nil)
        #expect(answer.status == 3)
        #expect(answer.text.contains("apt-get install qemu-system-x86"))
        #expect(box.leftovers.isEmpty)
    }

    @Test func theScriptWithoutItsFiles() throws {
        let box = try ScriptBox(try Sample())
        try FileManager.default.removeItem(atPath: box.folder.appending("boot/job.cpio").string)
        let answer = try box.run(qemu: "exit 0")
        #expect(answer.status == 3)
        #expect(answer.text.contains("job.cpio is missing"))
    }

    @Test func theScriptOfACaseThatWantsCards() throws {
        var sample = try Sample()
        sample.manifest.machine?.cards = ["e1000e"]
        let answer = try ScriptBox(sample).run(qemu: "exit 0")
        #expect(answer.status == 3)
        #expect(answer.text.contains("only bpftest run drives"))
    }

    /// What the script gives QEMU is what bpftest would.
    @Test func theScriptsMachineIsTheManifests() throws {
        var sample = try Sample()
        sample.manifest.machine?.commandLine = "console=ttyS0 a='b c' $HOME `id`"
        let box = try ScriptBox(sample)
        let answer = try box.run(qemu: "for word; do echo \"<$word>\"; done; exit 1")
        #expect(answer.status == 3)
        let machine = try #require(sample.manifest.machine)
        let line = MachineLine(machine, kernel: "@k", initramfs: "@i")
        let found = try #require(box.arguments)
        #expect(found.contains("-append") && found.contains(line.commandLine), "\(found)")
        let known = Set(found)
        for word in line.arguments where word != "@k" && word != "@i" { #expect(known.contains(word), "\(word)") }
        #expect(found.firstIndex(of: "-initrd").map { found[$0 + 1].hasSuffix("/initramfs") } == true)
    }
}

/// An unpacked archive, and a QEMU that is a script.
final class ScriptBox {
    let scratch: Scratch
    let folder: FilePath
    private let temporary: FilePath

    init(_ sample: Sample) throws {
        scratch = try Scratch()
        folder = scratch.path.appending("archive")
        temporary = scratch.path.appending("tmp")
        var sample = sample
        sample.contents.append(
            ArchiveWriter.Content(ArchiveLayout.script, .bytes(Array(ReproScript.text(sample.manifest).utf8))))
        sample.manifest.parts = try ArchiveWriter.parts(sample.contents)
        try ArchiveReader(try sample.write(scratch.path)).extract(to: folder)
        try FileManager.default.createDirectory(atPath: temporary.string, withIntermediateDirectories: false)
    }

    /// Temporary files of the script's that are still there.
    var leftovers: [String] { scratch.names(in: "tmp") }

    /// What the last QEMU was called with.
    var arguments: [String]? {
        (try? String(contentsOfFile: folder.appending("arguments").string, encoding: .utf8))?
            .split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    func run(qemu: String?, limit: Int = 100, locale: String = "C") throws -> (status: Int32, text: String) {
        let program = folder.appending("qemu")
        if let qemu {
            let text = """
                #!/bin/sh
                [ "$1" != -sandbox ] || [ "$2" != help ] || { echo 'sandbox options:'; exit 0; }
                for word; do printf '%s\\n' "$word"; done >"${0%/*}/arguments"
                \(qemu)

                """
            try Data(text.utf8).write(to: URL(fileURLWithPath: program.string))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program.string)
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [folder.appending("repro.sh").string]
        process.environment = [
            "PATH": "/usr/bin:/bin", "QEMU": program.string, "LIMIT": "\(limit)", "TMPDIR": temporary.string,
            "LC_ALL": locale,
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}

@Suite struct TextTests {
    @Test func theReadmeSaysWhatAPersonNeeds() throws {
        var sample = try Sample()
        sample.manifest.tried = Manifest.Tried(times: 1, failed: 1)
        let text = ReadmeText.text(sample.manifest)
        for word in [
            "suite/case", "6.12.117", "it does not hold", "EBUSY (16)", "./repro.sh", "qemu-system-x86", "outputs/",
            "tried once, and failed again",
        ] { #expect(text.contains(word), "\(word)") }
        #expect(!text.contains("sources/"))
        #expect(!text.contains("does not count"))
        let other = ReadmeText.text(try Sample(allowed: ["a.c:[0-9]+"]).manifest)
        #expect(other.contains("does not count where") && other.contains("\n  a.c:[0-9]+\n"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 120 })
    }

    @Test func foreignWordsDoNotReachTheTerminal() {
        #expect(printable("a\u{1b}[31mb\nc\u{202e}d\u{9b}e") == "a\u{fffd}[31mb\u{fffd}c\u{fffd}d\u{fffd}e")
        #expect(printable(String(repeating: "x", count: 30), limit: 10).count == 11)
    }

    @Test func namesBecomePlainWords() {
        #expect(ArchiveLayout.plainWord("mprog.tcx/M-008.ingress") == "mprog.tcx_M-008.ingress")
        #expect(ArchiveLayout.plainWord("../../x") == "_._.._x")
        #expect(ArchiveLayout.plainWord("-rf é") == "_rf___")
        #expect(ArchiveLayout.plainWord("") == "_")
    }

    @Test func aJobIsAFileOfLines() {
        let job = GuestJob(
            calls: [.init(arguments: ["/run/x", "a\nb\\c"], environment: ["A=1"], directory: "/tmp/1")], watch: "id",
            seconds: 60)
        #expect(
            job.text == """
                bpftest-job 1
                watch id
                seconds 60
                call /tmp/1
                argument /run/x
                argument a\\nb\\\\c
                setting A=1

                """)
    }
}
