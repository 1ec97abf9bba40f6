// SPDX-License-Identifier: Apache-2.0
import Archives
import Foundation
import Synchronization
import SystemPackage
import Testing

@testable import Harness
@testable import VMRunner

/// An archive as somebody gave it to us, and a QEMU that prints what it is told to.
private final class Given {
    static let console = """
        [    1.0] bpftest-job: start\r
        [    1.1] bpftest: case s/c\r
        [    1.2] bpftest-job: result not ok 1 c\r
        [    1.3] bpftest-job: ended status 0\r

        """
    let folder: FilePath
    let work: WorkFolder
    var manifest = Manifest(name: "bpftest-s_c-6.12-0123456789ab")
    var recording: [UInt8]?
    /// What init is given, where it is not what the manifest says.
    var job: GuestJob?
    let said = Mutex<[String]>([])

    init() throws {
        folder = FilePath(NSTemporaryDirectory()).appending("bpftest-replay-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
        work = try WorkFolder(environment: ["TMPDIR": folder.string])
        manifest.failure = .init(suite: "s", id: "c", title: "it holds", blame: "test", message: "it does not")
        manifest.machine = .init(
            release: "6.12", memoryMiB: 256, cpus: 1, accelerator: "tcg", cards: [], commandLine: "console=ttyS0")
        manifest.calls = [
            .init(arguments: ["/run/bpftest/agent", "run", "s", "c"], environment: [], directory: "/tmp")
        ]
        manifest.judge = .init(kind: .result, watch: "c", seconds: 60, limit: 120)
        manifest.versions = ["recorded with qemu": "10.0.2"]
    }

    deinit {
        try? FileManager.default.removeItem(atPath: folder.string)
    }

    /// - Parameter qemu: what its machine says.
    func replay(
        qemu console: String = console, at other: FilePath? = nil, bundle: FilePath? = nil
    ) throws -> ArchiveReplay {
        let program = folder.appending("qemu")
        try Data(console.utf8).write(to: URL(fileURLWithPath: folder.appending("says").string))
        try Data("#!/bin/sh\nexec cat \(folder)/says\n".utf8).write(to: URL(fileURLWithPath: program.string))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program.string)
        var image = CpioArchive()
        image.add(file: "init", mode: 0o755, [1])
        var own = CpioArchive()
        let told = GuestJob(calls: manifest.calls ?? [], watch: "c", seconds: 60)
        own.add(file: GuestJob.path, mode: 0o644, Array((job ?? told).text.utf8))
        var contents: [ArchiveWriter.Content] = [
            .init(ArchiveLayout.kernel, .bytes([1])), .init(ArchiveLayout.guest, .bytes(image.encoded())),
            .init(ArchiveLayout.job, .bytes(own.encoded())),
        ]
        if let recording {
            contents.append(.init(ArchiveLayout.recording, .bytes([2])))
            contents.append(.init(Recording.console, .bytes(recording)))
        }
        manifest.parts = try ArchiveWriter.parts(contents)
        let path = try ArchiveWriter.write(manifest, contents, into: folder)
        // A run has one archive, and its folder for itself.
        try? FileManager.default.removeItem(atPath: work.path.appending("archive").string)
        return try ArchiveReplay(
            other ?? path, bundle: bundle, qemu: QEMU(path: program.string, version: "10.0.2", hasSandbox: true),
            folders: Folders(environment: ["BPFTEST_CACHE": folder.appending("cache").string]), disablesKVM: true,
            work: work, cancellation: try Cancellation()
        ) { line in self.said.withLock { $0.append(line) } }
    }

    /// What goes to stdout, and the answer.
    func run(
        _ how: ArchiveReplay.How, _ replay: ArchiveReplay
    ) throws -> (answer: ArchiveReplay.Answer, text: String) {
        var text = ""
        let answer = try replay.run(how, output: { (part) throws(HarnessError) in text += part })
        return (answer, text)
    }
}

@Suite struct ReplayTests {
    private func expectUsage(
        _ words: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
    ) {
        let error = #expect(throws: HarnessError.self, sourceLocation: sourceLocation) { try body() }
        if case .usage(let text)? = error {
            #expect(text.contains(words), "\(text)", sourceLocation: sourceLocation)
        } else {
            Issue.record("it is no wrong call: \(error.map { "\($0)" } ?? "")", sourceLocation: sourceLocation)
        }
    }

    @Test func itIsRunAgain() throws {
        let given = try Given()
        let (answer, text) = try given.run(.again(times: 2), try given.replay())
        #expect(answer == .again)
        #expect(text.contains("# the failure happened in 2 of 2 runs on 6.12"), "\(text)")
    }

    /// What may come is the run's to say, and goes with the archive.
    @Test func complaintsThatMayComeAreNone() throws {
        let given = try Given()
        let warning = "[    1.1] WARNING: CPU: 0 PID: 61 at mm/x.c:1 f+0x1/0x2\r\n"
        let console = Given.console.replacing("[    1.2] bpftest-job: result not ok", with: warning + "[    1.2] x")
            .replacing("x 1 c", with: "bpftest-job: result ok 1 c")
        #expect(try given.run(.again(times: 1), try given.replay(qemu: console)).answer == .again)
        given.manifest.judge?.allowed = ["mm/x\\.c:[0-9]+ f\\+"]
        let (answer, text) = try given.run(.again(times: 1), try given.replay(qemu: console))
        #expect(answer == .notAgain, "\(text)")
    }

    /// It says first what it will run, and does run that.
    @Test func aJobThatIsNotTheManifests() throws {
        let given = try Given()
        for change in [
            GuestJob(calls: [], watch: "c", seconds: 60),
            GuestJob(calls: given.manifest.calls ?? [], watch: "other", seconds: 60),
            GuestJob(calls: given.manifest.calls ?? [], watch: "c", seconds: 61),
        ] {
            given.job = change
            expectUsage("would run other programs than its manifest says") { _ = try given.replay() }
        }
    }

    @Test func filesThatAreNotThere() throws {
        let given = try Given()
        expectUsage("there is no file 'x.tar.zst'") { _ = try given.replay(at: "x.tar.zst") }
        expectUsage("has all of its parts: --bundle is for one that shares some") {
            _ = try given.replay(bundle: "/dev/null")
        }
    }

    @Test func cardsThatNobodyKnows() throws {
        let given = try Given()
        given.manifest.machine?.cards = ["ne2000"]
        expectUsage("wants a machine that this bpftest does not know") { _ = try given.replay() }
    }

    @Test func aCaseWithCards() throws {
        let given = try Given()
        given.manifest.machine?.cards = ["e1000e"]
        for how in [ArchiveReplay.How.again(times: 1), .debugger(recording: false), .shell] {
            expectUsage("network cards, whose far ends only a run drives: bpftest run s/c") {
                _ = try given.run(how, try given.replay())
            }
        }
        expectUsage("network cards") {
            _ = try ArchiveMinimiser(try given.replay(), limit: nil) { _ in }.run(into: given.folder)
        }
    }

    // MARK: Recordings

    @Test func aRecordingIsTheSameOrNot() throws {
        let given = try Given()
        given.recording = Array(Given.console.utf8)
        let same = try given.run(.deterministic, try given.replay())
        #expect(same.answer == .again)
        #expect(same.text.contains("byte by byte (\(Given.console.utf8.count) bytes)"), "\(same.text)")
        let other = try given.run(
            .deterministic, try given.replay(qemu: Given.console.replacing("status 0", with: "status 1")))
        #expect(other.answer == .unknown)
        let count = Given.console.utf8.count
        #expect(other.text.contains("differs from the recorded one behind its first \(count - 3) of \(count) bytes"))
        // Longer is different, too.
        let longer = try given.run(.deterministic, try given.replay(qemu: Given.console + "x"))
        #expect(longer.answer == .unknown)
    }

    @Test func whatCannotBePlayedBack() throws {
        for how in [ArchiveReplay.How.deterministic, .debugger(recording: true)] {
            let without = try Given()
            expectUsage("has no recording (bpftest run --archive DIR --record makes one)") {
                _ = try without.run(how, try without.replay())
            }
            let two = try Given()
            two.recording = []
            two.manifest.machine?.cpus = 2
            expectUsage("cannot be played back: its machine has 2 processors, and QEMU records one") {
                _ = try two.run(how, try two.replay())
            }
            let elsewhere = try Given()
            elsewhere.recording = []
            var bytes = [UInt8](repeating: 0, count: 0x400)
            bytes.replaceSubrange(0x202..<0x206, with: "HdrS".utf8)
            bytes[0x20f] = 0x01
            bytes.replaceSubrange(0x300..<0x308, with: "7.2.0 x ".utf8)
            let image = elsewhere.folder.appending("bzImage")
            try Data(bytes).write(to: URL(fileURLWithPath: image.string))
            let guest = elsewhere.folder.appending("guest")
            try Data(CpioArchive().encoded()).write(to: URL(fileURLWithPath: guest.string))
            let replay = try elsewhere.replay()
            try replay.take(
                PreparedKernel(
                    build: try KernelBuild(file: image), image: GuestImage(path: guest), spec: image.string))
            expectUsage("a recording is of one kernel") { _ = try elsewhere.run(how, replay) }
        }
    }

    @Test func theRecordingOfAnotherQEMU() throws {
        let given = try Given()
        given.recording = Array(Given.console.utf8)
        given.manifest.versions = ["recorded with qemu": "9.1\u{1b}[2J"]
        _ = try given.run(.deterministic, try given.replay())
        let said = given.said.withLock { $0 }
        #expect(
            said == ["the recording is of QEMU 9.1\u{fffd}[2J, this is 10.0.2: it may not be read"], "\(said)")
    }

    @Test func foreignWordsAreMadeHarmless() throws {
        let given = try Given()
        given.manifest.failure?.title = "\u{1b}[2J\nbpftest: fine"
        given.manifest.calls = [.init(arguments: ["/run/\u{1b}c", "a\nb"], environment: [], directory: "/tmp")]
        given.manifest.machine?.release = "6\u{9b}1m"
        let lines = try given.replay().description(.again(times: 1))
        for line in lines {
            #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }, "\(line)")
        }
        #expect(lines.contains { $0.hasPrefix("kernel: 6\u{fffd}1m, SHA-256 ") }, "\(lines)")
    }
}
