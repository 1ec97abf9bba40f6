// SPDX-License-Identifier: Apache-2.0
import Archives
import Foundation
import SystemPackage
import TAP
import Testing

@testable import Harness
@testable import VMRunner

/// A user's machine, as far as packing sees it: everything of it has a word in its path that must not get out.
private final class Home {
    static let secret = "s3cret-user"
    let path: FilePath

    init() throws {
        path = FilePath(NSTemporaryDirectory()).appending("\(Self.secret)-\(UUID().uuidString)")
        var image = [UInt8](repeating: 0, count: 0x400)
        image.replaceSubrange(0x202..<0x206, with: "HdrS".utf8)
        image[0x20e] = 0x00
        image[0x20f] = 0x01
        image.replaceSubrange(0x300..<0x308, with: "6.12.99 ".utf8)
        try write("linux/bzImage", image)
        try write("linux/config", Array("CONFIG_BPF_SYSCALL=y\n".utf8))
        try write("lib/guest/bpftest-init", [1])
        try write("lib/guest/bpftest-agent", Array("agent".utf8))
        try write("lib/guest/objects/mprog/tcx.bpf.o", Array("object".utf8))
        try write("tests-bpf/mprog/tcx.bpf.c", Array("// source\n".utf8))
        try write("mine/mine.bpf.o", Array("mine".utf8))
        try write("agents/faults", Array("faults".utf8))
        var base = CpioArchive([.init(path: "dev", mode: 0o040755)])
        base.add(file: "init", mode: 0o755, [1])
        base.add(file: "etc/bpftest/modules", mode: 0o644, [])
        try write("cache/image.cpio", base.encoded())
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path.string)
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws {
        let file = path.appending(name)
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file.string))
    }

    func kernel() throws -> PreparedKernel {
        let file = path.appending("linux/bzImage")
        return PreparedKernel(
            build: try KernelBuild(file: file), image: GuestImage(path: path.appending("cache/image.cpio")),
            spec: file.string)
    }

    func drafter(_ selections: [Selection]) throws -> ArchiveDrafter {
        var words = HostWords.ofProcess(environment: ["HOME": path.string])
        words.add(try kernel().spec, "6.12.99")
        for selection in selections {
            if let object = selection.object { words.add(object.given, object.suite) }
        }
        return ArchiveDrafter(
            options: RunOptions(), accelerator: .tcg,
            qemu: QEMU(path: path.appending("bin/qemu").string, version: "10.0.2", hasSandbox: true),
            guestFiles: GuestFiles(directory: path.appending("lib/guest")), selections: selections, words: words)
    }

    func selection(_ suite: String, _ ids: [String], agent: String? = nil) -> Selection {
        let cases = ids.map {
            SuiteListing.CaseListing(id: $0, title: "title of \($0)", spec: [], since: nil, needs: [], alone: nil)
        }
        let files = GuestFiles(directory: path.appending("lib/guest"))
        let foreign = agent.map { Agent.file(path.appending("agents/\($0)"), number: 0) }
        return Selection(
            agent: foreign ?? .builtIn(files), suite: SuiteListing(suite: suite, title: suite, cases: cases),
            cases: cases)
    }

    func failure(
        _ suite: String, _ id: String, _ blame: Outcome.Blame = .test, _ fields: [(String, String)] = []
    ) -> CaseResult {
        CaseResult(
            kernel: "6.12.99", name: CaseID(suite: suite, id: id), title: "title of \(id)", outcome: .failed(blame),
            diagnostics: Diagnostics(fields.map { .init($0.0, $0.1) }))
    }

    /// Written and read again.
    func unpacked(_ draft: ArchiveDraft) throws -> (manifest: Manifest, files: [String: Data]) {
        let path = try ArchivePacker.write(draft.manifest, draft.shared + draft.own + draft.outputs, into: self.path)
        let folder = self.path.appending("unpacked-\(UUID().uuidString)")
        let reader = try ArchiveReader(path)
        try reader.extract(to: folder)
        var files: [String: Data] = [:]
        for part in reader.manifest.parts {
            files[part.path] = FileManager.default.contents(atPath: folder.appending(part.path).string)
        }
        return (reader.manifest, files)
    }
}

@Suite struct ArchiveDraftTests {
    @Test func nothingOfTheHostIsInIt() throws {
        let home = try Home()
        var selection = home.selection("mine.bpf.o", ["one"], agent: "faults")
        selection.object = ObjectFile(
            given: home.path.appending("mine/mine.bpf.o").string, suite: "mine.bpf.o", expectsLoadFailure: false)
        let everywhere = home.path.string
        let result = home.failure(
            "mine.bpf.o", "one", .test,
            [
                ("message", "\(everywhere)/mine/mine.bpf.o does not load"), ("observed", "\(everywhere)/linux/bzImage"),
                ("run_alone", "bpftest run -k \(everywhere)/linux/bzImage"), ("kernel", "\(everywhere)/linux"),
                ("stderr", "\(everywhere)/agents/faults: no"), ("verifier_log", "; x @ \(everywhere)/mine.c:1"),
            ])
        let draft = try home.drafter([selection]).draft(result, on: try home.kernel())
        let (manifest, files) = try home.unpacked(draft)
        let secret = Data(Home.secret.utf8)
        #expect(Data(manifest.encoded()).range(of: secret) == nil)
        for (name, content) in files { #expect(content.range(of: secret) == nil, "\(name)") }
        // The folder itself: the temporary directory's name may be one that the guest has too (/tmp).
        for word in [home.path.string, NSUserName() == "root" ? "USER=" : NSUserName()] {
            let bytes = Data(word.utf8)
            #expect(Data(manifest.encoded()).range(of: bytes) == nil, "\(word)")
            for (name, content) in files { #expect(content.range(of: bytes) == nil, "\(name): \(word)") }
        }
        // What it is about is still told.
        #expect(manifest.failure?.message == "mine.bpf.o does not load")
        let job = try CpioArchive(decoding: Array(try #require(files[ArchiveLayout.job])), name: "job")
        let options = try #require(job.entries.first { $0.path.hasSuffix("mine.bpf.o/options") })
        #expect(String(decoding: options.content, as: UTF8.self) == "name mine.bpf.o\n")
        #expect(files["guest/objects/user/mine.bpf.o"] == Data("mine".utf8))
    }

    @Test func theSameFailureIsTheSameButForWhatWasSeen() throws {
        let home = try Home()
        let drafter = try home.drafter([home.selection("mprog.tcx", ["a", "b"])])
        let kernel = try home.kernel()
        let one = try home.unpacked(
            try drafter.draft(home.failure("mprog.tcx", "b", .test, [("observed", "1")]), on: kernel))
        let same = try home.unpacked(
            try drafter.draft(home.failure("mprog.tcx", "b", .test, [("observed", "1")]), on: kernel))
        #expect(one.manifest == same.manifest && one.files == same.files)
        let other = try home.unpacked(
            try drafter.draft(home.failure("mprog.tcx", "b", .test, [("observed", "2")]), on: kernel))
        #expect(one.manifest.name == other.manifest.name)
        let different = one.files.filter { other.files[$0.key] != $0.value }.map(\.key).sorted()
        #expect(different == ["README.txt", "outputs/result.tap"])
        // Another case is another archive.
        let another = try drafter.draft(home.failure("mprog.tcx", "a"), on: kernel)
        #expect(another.manifest.name != one.manifest.name)
    }

    @Test func whatItHolds() throws {
        let home = try Home()
        let draft = try home.drafter([home.selection("mprog.tcx", ["a"])]).draft(
            home.failure(
                "mprog.tcx", "a", .kernel,
                [("splat", "[    1.2] WARNING: CPU: 0 PID: 6 at mm/x.c:1 f+0x1/0x2"), ("stderr", "e")]),
            on: try home.kernel())
        let (manifest, files) = try home.unpacked(draft)
        #expect(
            files.keys.sorted() == [
                "README.txt", "boot/config", "boot/guest.cpio", "boot/job.cpio", "boot/vmlinuz", "guest/agent",
                "guest/objects/mprog/tcx.bpf.o", "outputs/result.tap", "outputs/splat.txt", "outputs/stderr.txt",
                "repro.sh", "sources/mprog/tcx.bpf.c",
            ])
        #expect(manifest.judge?.kind == .splat)
        #expect(manifest.failure?.crash == "WARNING in f")
        #expect(manifest.calls?.map(\.arguments) == [["/run/bpftest/agent", "run", "mprog.tcx", "a"]])
        #expect(manifest.name.hasPrefix("bpftest-mprog.tcx_a-6.12.99-"))
        let guest = try CpioArchive(decoding: Array(try #require(files[ArchiveLayout.guest])), name: "guest")
        let paths = guest.entries.map(\.path)
        for path in [
            "init", "etc/bpftest/files/run/bpftest/agent", "etc/bpftest/files/run/bpftest/objects/mprog/tcx.bpf.o",
        ] {
            #expect(paths.contains(path))
        }
    }

    @Test func casesThatRanBeforeRunBeforeAgain() throws {
        let home = try Home()
        let selections = [home.selection("first", ["x", "y"]), home.selection("second", ["a", "b", "c"])]
        let drafter = try home.drafter(selections)
        let result = home.failure(
            "second", "c", .test,
            [("verdict", "order-dependent: alone it passed"), ("ran_before", "first/x first/y second/a second/b")])
        let calls = try drafter.draft(result, on: try home.kernel()).manifest.calls?.map(\.arguments)
        #expect(
            calls == [
                ["/run/bpftest/agent", "run", "first", "x", "y"],
                ["/run/bpftest/agent", "run", "second", "a", "b", "c"],
            ])
        // A list that was cut: the suite's own, in its order.
        let many = home.failure(
            "second", "c", .test, [("verdict", "order-dependent: …"), ("ran_before", "(7 more) second/b")])
        let all = try drafter.draft(many, on: try home.kernel()).manifest.calls?.map(\.arguments)
        #expect(all == [["/run/bpftest/agent", "run", "second", "a", "b", "c"]])
        // A failure of its own needs none of them.
        let alone = home.failure(
            "second", "c", .test, [("verdict", "failure: it fails alone"), ("ran_before", "first/x")])
        #expect(try drafter.draft(alone, on: try home.kernel()).manifest.calls?.count == 1)
    }

    @Test func anExplorationBecomesItsScript() throws {
        let home = try Home()
        let script = "subject: mprog\ntarget: tcx\nseed: 7\nattach A.ingress P1\n"
        let draft = try home.drafter([home.selection("explore.mprog", ["tcx"])]).draft(
            home.failure("explore.mprog", "tcx", .test, [("script", script)]), on: try home.kernel())
        let job = try CpioArchive(decoding: draft.job, name: "job")
        let request = try #require(job.entries.first { $0.path == "etc/bpftest/files/run/bpftest/explore/request" })
        #expect(String(decoding: request.content, as: UTF8.self).hasPrefix("script\n"))
        #expect(draft.manifest.seeds["explore"] == "7")
    }

    @Test(arguments: [
        (Outcome.Blame.test, Manifest.Judge.Kind.result), (.absent, .absent), (.kernel, .splat), (.timeout, .timeout),
        (.agent, .agent),
    ])
    func howItIsJudged(_ blame: Outcome.Blame, _ kind: Manifest.Judge.Kind) throws {
        let home = try Home()
        let draft = try home.drafter([home.selection("s", ["a"])]).draft(
            home.failure("s", "a", blame), on: try home.kernel())
        #expect(draft.manifest.judge?.kind == kind)
        #expect(draft.manifest.judge?.watch == "a")
    }

    @Test func complaintsThatMayComeMayComeAgain() throws {
        let home = try Home()
        var drafter = try home.drafter([home.selection("s", ["a"])])
        drafter.allowed = ["tcx\\.c:[0-9]+"]
        let (manifest, files) = try home.unpacked(
            try drafter.draft(home.failure("s", "a", .kernel), on: try home.kernel()))
        #expect(manifest.judge?.allowed == ["tcx\\.c:[0-9]+"])
        #expect(manifest.version == 2)
        let script = String(decoding: try #require(files[ArchiveLayout.script]), as: UTF8.self)
        #expect(script.contains("grep -E -v -e 'tcx\\.c:[0-9]+' |"))
        #expect(
            try home.drafter([home.selection("s", ["a"])]).draft(
                home.failure("s", "a", .kernel), on: try home.kernel()
            ).manifest.name != manifest.name)
    }

    @Test func aKernelThatDoesNotBootIsArchivedToo() throws {
        let home = try Home()
        let draft = try home.drafter([]).draft(home.failure("boot", "boot", .boot), on: try home.kernel())
        #expect(draft.manifest.judge?.kind == .boot)
        #expect(draft.manifest.calls?.map(\.arguments) == [["/run/bpftest/agent", "list"]])
    }

    @Test(
        arguments: [
            ("[   11.2] Kernel Offset: 0x29000000 from 0xffffffff81000000 (relocation range: 0x1)\r\n", 0x2900_0000),
            ("[   11.2] Kernel Offset: disabled\r\n", 0), ("[   11.2] Kernel Offset: nonsense", nil), ("", nil),
        ] as [(String, UInt64?)])
    func whereARecordedKernelLies(_ console: String, _ offset: UInt64?) {
        #expect(ArchiveReplay.kernelOffset("[    0.1] Linux\r\n" + console) == offset)
    }

    @Test func oneTroubleIsOneArchive() throws {
        let home = try Home()
        let splat = { (pid: Int) in
            [("splat", "[    1.2][  T61] WARNING: CPU: 1 PID: \(pid) at mm/x.c:1 f+0x1/0x2\nmore")]
        }
        #expect(
            FailureArchiver.key(home.failure("s", "a", .kernel, splat(61)))
                == FailureArchiver.key(home.failure("s", "b", .kernel, splat(62))))
        #expect(
            FailureArchiver.key(home.failure("s", "a", .test, [("message", "m")]))
                != FailureArchiver.key(home.failure("s", "b", .test, [("message", "m")])))
        #expect(
            FailureArchiver.key(home.failure("s", "a", .test, [("message", "m")]))
                == FailureArchiver.key(home.failure("s", "a", .test, [("message", "m"), ("observed", "2")])))
    }
}
