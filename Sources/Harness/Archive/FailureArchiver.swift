// SPDX-License-Identifier: Apache-2.0
internal import Archives
internal import Crashes
internal import Foundation
public import SystemPackage
internal import TAP
internal import VMRunner

/// What `--archive` and its like ask for.
public struct ArchiveOptions: Sendable {
    /// Where archives go.
    public var folder: FilePath
    /// What failures of a kernel share goes into one file.
    public var bundles = false
    /// A recording of the failure, instruction by instruction.
    public var records = false
    /// vmlinux too.
    public var symbols = false

    public init(folder: FilePath) {
        self.folder = folder
    }

    /// The folder is made, and written to once: a wrong one shows now, and not after an hour.
    ///
    /// - Parameter option: the one that says where.
    public func check(option: String = "--archive") throws(HarnessError) {
        do {
            try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
        } catch {
            throw .infrastructure("\(folder) cannot be made: \(Folders.reason(error)) (\(option) names another place)")
        }
        guard FileManager.default.isWritableFile(atPath: folder.string) else {
            throw .infrastructure("\(folder) cannot be written to (\(option) names another place)")
        }
    }
}

/// Collects the failures of a run, and packs each of them when the run is over.
public final class FailureArchiver: ResultSink {
    private var failures: [(spec: String, result: CaseResult)] = []
    private var seen: Set<String> = []
    private var spec = ""
    private var leftOut = 0
    private var same = 0

    /// A kernel that breaks in every case has one trouble, or a thousand that nobody looks through.
    private static let most = 50
    /// Archives that are tried when they are packed: each is a boot.
    private static let mostTried = 20

    public init() {}

    public func kernelStarted(_ kernel: KernelIdentity, suites: Int, comments: [String]) {
        spec = kernel.spec
    }

    public func caseFinished(_ result: CaseResult) {
        guard case .failed(let blame) = result.outcome, result.known == nil, blame != .missing,
            result.name.suite != "kernel"
        else { return }
        guard seen.insert("\(spec)\n\(Self.key(result))").inserted else {
            same += 1
            return
        }
        guard failures.count < Self.most else {
            leftOut += 1
            return
        }
        failures.append((spec, result))
    }

    /// What two failures of one kernel have in common when one archive does for both.
    static func key(_ result: CaseResult) -> String {
        if let crash = ArchiveDrafter.crash(result) { return "crash \(crash)" }
        return "\(result.name)\n\(result.diagnostics["message"] ?? "")"
    }

    /// Writes the archives, and says where they are.
    ///
    /// Blocks its thread, with which its machines end.
    /// - Parameter log: gets a line for each archive, and for each that could not be made.
    /// - Throws: the folder cannot be written to; everything else is said, and the other archives are written.
    public func pack(
        _ options: ArchiveOptions, runner: Runner, kernels: [PreparedKernel], selections: [Selection],
        work: WorkFolder, log: @escaping (String) -> Void
    ) throws(HarnessError) {
        if failures.isEmpty { return }
        try options.check()
        var packer = ArchivePacker(options: options, runner: runner, selections: selections, work: work, log: log)
        for (number, failure) in failures.enumerated() {
            guard let kernel = kernels.first(where: { $0.spec == failure.spec }) else { continue }
            try packer.pack(failure.result, on: kernel, tries: number < Self.mostTried)
        }
        if same > 0 { log("archives: \(same) further failures are the same as one of these") }
        if leftOut > 0 { log("archives: \(leftOut) further failures are left out; \(Self.most) are the most of a run") }
    }

    public func runStarted(_ plan: RunPlan, kernels: Int) {}
    public func suiteStarted(_ name: String, cases: Int) {}
    public func suiteFinished(_ name: String, tally: Tally) {}
    public func kernelFinished(_ name: String, tally: Tally) {}
    public func comment(_ text: String) {}
    public func bailedOut(_ reason: String) {}
    public func runFinished(tally: Tally) {}
}

/// Turns drafts into files.
struct ArchivePacker {
    let options: ArchiveOptions
    let runner: Runner
    let selections: [Selection]
    let work: WorkFolder
    let log: (String) -> Void
    /// By name.
    private var bundles: Set<String> = []
    /// By kernel; nil inside: there is none.
    private var symbolFiles: [String: FilePath?] = [:]
    private let allowed: [String]?

    init(
        options: ArchiveOptions, runner: Runner, selections: [Selection], work: WorkFolder,
        log: @escaping (String) -> Void
    ) {
        (self.options, self.runner, self.selections, self.work, self.log) = (options, runner, selections, work, log)
        allowed = AllowedComplaints.usable(runner.options.crashes.allowlist.patterns) { pattern, why in
            log("archives go without an expression of --splat-allowlist: '\(pattern)' \(why)")
        }
    }

    mutating func pack(_ result: CaseResult, on kernel: PreparedKernel, tries: Bool) throws(HarnessError) {
        do throws(HarnessError) {
            let path = try write(result, on: kernel, tries: tries)
            log("archive: \(path.path)\(path.remark)")
        } catch .cancelled {
            throw .cancelled
        } catch {
            log("archive: \(result.name) on \(kernel.build.release) could not be packed: \(error)")
            // The folder's trouble is the others', too.
            guard FileManager.default.isWritableFile(atPath: options.folder.string) else { throw error }
        }
    }

    private mutating func write(
        _ result: CaseResult, on kernel: PreparedKernel, tries: Bool
    ) throws(HarnessError) -> (path: FilePath, remark: String) {
        var words = HostWords.ofProcess(environment: runner.environment)
        words.add(kernel.spec, kernel.build.release)
        words.add(kernel.build.origin, kernel.build.release)
        words.add(runner.guestFiles.directory.string, "bpftest")
        words.add(runner.folders.cache.string, "cache")
        words.add(work.path.string, "work")
        for selection in selections {
            if let object = selection.object { words.add(object.given, object.suite) }
            if !selection.agent.isBuiltIn {
                words.add(selection.agent.file.string, selection.agent.file.lastComponent?.string ?? "agent")
            }
        }
        let memory = AcceleratorMemory(folders: runner.folders)
        let accelerator = memory.choice(runner.options.accelerator, qemu: runner.qemu).0
        let drafter = ArchiveDrafter(
            options: runner.options, accelerator: accelerator, qemu: runner.qemu, guestFiles: runner.guestFiles,
            selections: selections, words: words, symbols: options.symbols ? symbols(of: kernel) : nil,
            allowed: allowed)
        var draft = try drafter.draft(result, on: kernel)
        var remark = ""
        if tries, draft.manifest.machine?.cards.isEmpty == true {
            remark = try attempt(&draft, kernel, accelerator)
        }
        do throws(ArchiveError) {
            return (try finish(&draft), remark)
        } catch {
            throw HarnessError(error)
        }
    }

    /// The vmlinux that crashes are resolved with; nil, and said to be so: there is none.
    private mutating func symbols(of kernel: PreparedKernel) -> FilePath? {
        if let known = symbolFiles[kernel.spec] { return known }
        let file =
            runner.options.crashes.vmlinux
            ?? DebugInfo.vmlinux(of: kernel.build, cache: runner.folders.cache) { remark in
                log("\(kernel.build.release): \(remark)")
            }
        if file == nil {
            log("archive: \(kernel.build.release) has no vmlinux that is known (--vmlinux FILE names one)")
        }
        symbolFiles[kernel.spec] = .some(file)
        return file
    }

    /// Runs it once, as its reader will.
    private func attempt(
        _ draft: inout ArchiveDraft, _ kernel: PreparedKernel, _ accelerator: Accelerator
    ) throws(HarnessError) -> String {
        guard let machine = draft.manifest.machine, let judge = draft.manifest.judge else { return "" }
        let initramfs = work.path.appending("archive-initramfs")
        let tape = work.path.appending("archive-tape")
        defer {
            // What is left is swept with the work folder.
            for file in [initramfs, tape] { try? FileManager.default.removeItem(atPath: file.string) }
        }
        try ArchiveRun.join([draft.guest, draft.job], to: initramfs)
        let run = ArchiveRun(
            qemu: runner.qemu, machine: machine, judge: judge, kernel: kernel.build.image.path, initramfs: initramfs,
            accelerator: accelerator, owner: work.name, cancellation: runner.cancellation)
        let outcome = try run.once()
        draft.outputs.append(ArchiveWriter.Content(ArchiveLayout.console, .bytes(outcome.console)))
        var remark: String
        switch outcome.verdict.answer {
        case .again:
            draft.manifest.tried = Manifest.Tried(times: 1, failed: 1)
            remark = " (tried once: it failed again\(isAllowedInARun(outcome) ? Self.byTitle : ""))"
        case .notAgain:
            draft.manifest.tried = Manifest.Tried(times: 1, failed: 0)
            remark = " (tried once: it did not fail again)"
        case .unknown: remark = " (tried once, without an answer: \(outcome.verdict.reason))"
        }
        if options.records { remark += try record(&draft, run, tape) }
        return remark
    }

    private static let byTitle =
        ", by a complaint that --splat-allowlist allows by its title: archives know lines alone"

    /// Whether it failed by a complaint that the run passes over: of titles, a script knows nothing.
    private func isAllowedInARun(_ outcome: ArchiveRun.Outcome) -> Bool {
        let allowlist = runner.options.crashes.allowlist
        guard let complaint = outcome.verdict.complaint, !allowlist.isEmpty else { return false }
        var reader = ConsoleReader(allowlist: allowlist)
        for line in Judgement.lines(String(decoding: outcome.console, as: UTF8.self)) { reader.read(line) }
        return !reader.complaints.contains { $0.firstLine.hasPrefix(complaint) }
    }

    /// Records it, and plays the recording back to see that it can be.
    private func record(
        _ draft: inout ArchiveDraft, _ run: ArchiveRun, _ tape: FilePath
    ) throws(HarnessError) -> String {
        if let problem = Recording.obstacle(run.machine) { return "; not recorded: \(problem)" }
        let recorded = try run.once(.record(tape.string))
        guard recorded.verdict.answer != .unknown else { return "; not recorded: \(recorded.verdict.reason)" }
        let replayed = try run.once(.replay(tape.string))
        guard replayed.console == recorded.console else {
            return "; the recording is left out: QEMU \(run.qemu.version) plays it back differently"
        }
        draft.outputs += [
            ArchiveWriter.Content(ArchiveLayout.recording, .bytes(try ArchiveDrafter.read(tape))),
            ArchiveWriter.Content(Recording.console, .bytes(recorded.console)),
        ]
        draft.manifest.versions[Recording.version] = run.qemu.version
        let again = recorded.verdict.answer == .again ? "with the failure" : "without the failure"
        return "; recorded \(again), played back byte by byte"
    }

    /// Writes the bundle, if there is to be one, and the archive.
    private mutating func finish(_ draft: inout ArchiveDraft) throws(ArchiveError) -> FilePath {
        if options.bundles {
            let parts = try ArchiveWriter.parts(draft.shared)
            var digest = Digest()
            for part in parts { digest.update(Array("\(part.path) \(part.sha256)\n".utf8)) }
            let release = ArchiveLayout.plainWord(draft.manifest.machine?.release ?? "", limit: 50)
            let name = "bpftest-bundle-\(release)-\(digest.finish().prefix(12))"
            if bundles.insert(name).inserted {
                let bundle = Manifest(format: Manifest.bundleFormat, name: name, parts: parts)
                try ArchiveWriter.write(bundle, draft.shared, into: options.folder)
                log("archive: \(options.folder.appending(name + ".tar.zst")) has what the others share")
            }
            for index in draft.shared.indices { draft.shared[index].isShared = true }
            draft.manifest.bundle = name
        }
        return try Self.write(draft.manifest, draft.shared + draft.own + draft.outputs, into: options.folder)
    }

    /// Adds the script and the README, which follow from the manifest, and writes.
    static func write(
        _ draft: Manifest, _ files: [ArchiveWriter.Content], into folder: FilePath
    ) throws(ArchiveError) -> FilePath {
        var manifest = draft
        manifest.parts = try ArchiveWriter.parts(files)
        var contents = files
        contents.append(ArchiveWriter.Content(ArchiveLayout.script, .bytes(Array(ReproScript.text(manifest).utf8))))
        contents.append(ArchiveWriter.Content(ArchiveLayout.readme, .bytes(Array(ReadmeText.text(manifest).utf8))))
        manifest.parts = try ArchiveWriter.parts(contents)
        return try ArchiveWriter.write(manifest, contents, into: folder)
    }
}

/// QEMU's record/replay.
enum Recording {
    static let console = "recording/console.txt"
    /// The key of `versions` that says which QEMU recorded.
    static let version = "recorded with qemu"

    /// Why it cannot be done, in words.
    static func obstacle(_ machine: Manifest.Machine) -> String? {
        if machine.cpus > 1 { return "its machine has \(machine.cpus) processors, and QEMU records one" }
        if !machine.cards.isEmpty { return "its machine has network cards, whose far ends are not recorded" }
        return nil
    }
}
