// SPDX-License-Identifier: Apache-2.0
internal import Archives
internal import Foundation
internal import LinuxIO
public import SystemPackage
public import VMRunner

/// An archive that somebody gave us, unpacked: what it will run can be said before it runs.
public final class ArchiveReplay {
    public enum How: Sendable, Equatable {
        case again(times: Int)
        /// Its recording, instruction by instruction.
        case deterministic
        /// Waits for a debugger before the first instruction; of the recording, where that is wanted.
        case debugger(recording: Bool)
        /// With a shell in the guest.
        case shell
    }

    /// What came of it.
    public enum Answer: Int32, Sendable {
        case notAgain = 0
        case again = 1
        case unknown = 3
    }

    let manifest: Manifest
    let folder: FilePath
    let qemu: QEMU
    let work: WorkFolder
    let cancellation: Cancellation
    private let log: (String) -> Void
    private var kernel: FilePath
    private var release: String
    private var machine: Manifest.Machine
    private let judge: Manifest.Judge
    private var guest: [UInt8]
    private let accelerator: Accelerator

    /// Reads, checks and unpacks.
    ///
    /// - Parameters:
    ///   - bundle: where shared parts are; nil: beside the archive.
    ///   - log: what a person is told on the way.
    /// - Throws: `.usage` for what is no archive of bpftest's, with the reason; nothing of it has been used then.
    public init(
        _ path: FilePath, bundle: FilePath?, qemu: QEMU, folders: Folders, disablesKVM: Bool, work: WorkFolder,
        cancellation: Cancellation, log: @escaping (String) -> Void
    ) throws(HarnessError) {
        folder = work.path.appending("archive")
        guard FileManager.default.fileExists(atPath: path.string) else { throw .usage("there is no file '\(path)'") }
        do throws(ArchiveError) {
            let reader = try ArchiveReader(path)
            manifest = reader.manifest
            guard bundle == nil || manifest.bundle != nil else {
                throw .refused("\(path) has all of its parts: --bundle is for one that shares some with others")
            }
            try reader.extract(to: folder, bundle: bundle)
        } catch {
            throw HarnessError(error)
        }
        guard let machine = manifest.machine, let judge = manifest.judge else {
            preconditionFailure("a reader lets no archive pass without them")
        }
        self.machine = machine
        self.judge = judge
        self.qemu = qemu
        self.work = work
        self.cancellation = cancellation
        self.log = log
        kernel = folder.appending(ArchiveLayout.kernel)
        release = machine.release
        guest = try ArchiveDrafter.read(folder.appending(ArchiveLayout.guest))
        // What somebody else's machine had is no reason to try KVM here, nor its absence one not to say so.
        let wanted: Accelerator? = disablesKVM || machine.accelerator == "tcg" ? .tcg : nil
        accelerator = AcceleratorMemory(folders: folders).choice(wanted, qemu: qemu).0
        guard machine.cards.allSatisfy({ NetworkCard(rawValue: $0) != nil }) else {
            throw .usage("\(path) wants a machine that this bpftest does not know")
        }
        guard try jobIsToldTruly() else {
            throw .usage("\(path) would run other programs than its manifest says")
        }
    }

    /// Whether what init is given is what `description` shows.
    private func jobIsToldTruly() throws(HarnessError) -> Bool {
        let bytes = try ArchiveDrafter.read(folder.appending(ArchiveLayout.job))
        let job: CpioArchive
        do throws(ArchiveError) {
            job = try CpioArchive(decoding: bytes, name: ArchiveLayout.job)
        } catch {
            throw HarnessError(error)
        }
        let told = GuestJob(calls: manifest.calls ?? [], watch: judge.watch, seconds: judge.seconds).text
        // Written twice, the kernel keeps the last one.
        return job.entries.last { $0.path == GuestJob.path }?.content == Array(told.utf8)
    }

    /// Puts another kernel in the place of the archive's: init, agent and objects stay, the modules are the other's.
    public func take(_ other: PreparedKernel) throws(HarnessError) {
        do {
            let own = try CpioArchive(decoding: guest, name: ArchiveLayout.guest)
            var image = try CpioArchive(
                decoding: try ArchiveDrafter.read(other.image.path), name: "\(other.image.path)")
            image.entries.removeAll { $0.path == "init" }
            let kept = own.entries.filter { $0.path == "init" || $0.path.hasPrefix(GuestJob.files + "/") && $0.isFile }
            image.add(files: kept.map { ($0.path, $0.mode & 0o777, $0.content) })
            guest = image.encoded()
        } catch let error as HarnessError {
            throw error
        } catch let error as ArchiveError {
            throw HarnessError(error)
        } catch {
            throw .infrastructure("\(error)")
        }
        kernel = other.build.image.path
        release = other.build.release
        machine.release = release
        let words = machine.commandLine.split(separator: " ").filter { !$0.hasPrefix("lsm=") }.map(String.init)
        machine.commandLine =
            (words + (other.build.securityModules.map { ["lsm=\($0)"] } ?? []) + other.arguments).joined(separator: " ")
    }

    /// What will be run, for whoever started it to see first; all of it foreign text, made harmless.
    public func description(_ how: How) -> [String] {
        let failure = manifest.failure
        var lines = ["archive: \(manifest.name)"]
        func add(_ name: String, _ text: String?) {
            if let text, !text.isEmpty { lines.append("\(name): \(printable(text, limit: 4000))") }
        }
        add("failure", failure.map { "\($0.suite)/\($0.id) \($0.title)" })
        add("message", failure?.message)
        add("observed", failure?.observed)
        let isOwn = kernel == folder.appending(ArchiveLayout.kernel)
        add(
            "kernel",
            "\(release), \(isOwn ? sum(ArchiveLayout.kernel) : "in place of the archive's \(manifest.machine?.release ?? "")")"
        )
        add("guest image", sum(ArchiveLayout.guest))
        add("job", sum(ArchiveLayout.job))
        if manifest.part("guest/agent") != nil { add("agent", sum("guest/agent")) }
        for call in manifest.calls ?? [] { add("runs", call.arguments.map(shellQuoted).joined(separator: " ")) }
        add("qemu", ([qemu.path] + line(how).arguments).map(shellQuoted).joined(separator: " "))
        return lines
    }

    private func sum(_ path: String) -> String {
        manifest.part(path).map { "SHA-256 \($0.sha256)" } ?? ""
    }

    private var initramfs: FilePath { work.path.appending("initramfs") }
    private var tape: FilePath { folder.appending(ArchiveLayout.recording) }

    private func line(_ how: How) -> MachineLine {
        let run = run()
        switch how {
        case .again: return run.line()
        case .deterministic: return run.line(.replay(tape.string))
        case .debugger(let recording):
            var line = run.line(recording ? .replay(tape.string) : nil)
            line.gdb = socket
            // Symbols are where the kernel was linked.
            if !recording { line.append = ["nokaslr"] }
            if recording { line.snapshots = snapshots.string }
            return line
        case .shell:
            var line = run.line()
            // A crash takes the guest along: its shell comes before the case, any other's behind it.
            line.job = ["job", judge.kind == .splat ? "shell-first" : "shell"]
            return line
        }
    }

    func run() -> ArchiveRun {
        ArchiveRun(
            qemu: qemu, machine: machine,
            judge: judge, kernel: kernel, initramfs: initramfs, accelerator: accelerator, owner: work.name,
            cancellation: cancellation
        )
    }

    /// Runs it; blocks its thread, with which the machine ends.
    ///
    /// - Parameters:
    ///   - output: gets what goes to stdout.
    ///   - extra: a further part of the guest image.
    public func run(
        _ how: How, output: (String) throws(HarnessError) -> Void, extra: [UInt8] = []
    ) throws(HarnessError) -> Answer {
        try requireNoCards()
        let job = try ArchiveDrafter.read(folder.appending(ArchiveLayout.job))
        try ArchiveRun.join([guest, job, extra], to: initramfs)
        switch how {
        case .again(let times): return try again(times, output)
        case .deterministic: return try deterministic(output)
        case .debugger(let recording): return try debugger(recording)
        case .shell:
            log(
                "the shell comes \(judge.kind == .splat ? "before" : "after") the case; exit ends the machine"
            )
            return try interactive(line(how))
        }
    }

    func requireNoCards() throws(HarnessError) {
        guard machine.cards.isEmpty else {
            throw .usage(
                "\(manifest.name) is of a case with network cards, whose far ends only a run drives: bpftest run "
                    + "\(printable(manifest.failure.map { "\($0.suite)/\($0.id)" } ?? "", limit: 200))")
        }
    }

    private func again(
        _ times: Int, _ output: (String) throws(HarnessError) -> Void
    ) throws(HarnessError) -> Answer {
        var counts: [Judgement.Answer: Int] = [:]
        for number in 1...times {
            let outcome = try run().once()
            if number == 1 { try output(Self.shown(outcome.console)) }
            counts[outcome.verdict.answer, default: 0] += 1
            try output("# \(times > 1 ? "\(number) of \(times): " : "")\(Self.words(outcome.verdict))\n")
        }
        let failed = counts[.again] ?? 0
        let unknown = counts[.unknown] ?? 0
        let rest = unknown > 0 ? "; \(unknown) could not be run to the end" : ""
        try output("# the failure happened in \(failed) of \(times) runs on \(printable(release, limit: 100))\(rest)\n")
        return failed > 0 ? .again : unknown > 0 ? .unknown : .notAgain
    }

    private static func words(_ verdict: Judgement) -> String {
        switch verdict.answer {
        case .again: "the failure happened again: \(verdict.reason)"
        case .notAgain: "the failure did not happen: \(verdict.reason)"
        case .unknown: "could not be run: \(verdict.reason)"
        }
    }

    /// What the console said from the case's start on, or the end of what it said.
    private static func shown(_ console: [UInt8]) -> String {
        let lines = String(decoding: console, as: UTF8.self).split(whereSeparator: \.isNewline).map {
            printable(String($0))
        }
        let start = lines.firstIndex { $0.contains("bpftest-job: start") }
        return (start.map { lines[$0...] } ?? lines.suffix(40)).joined(separator: "\n") + "\n"
    }

    // MARK: The recording

    private func deterministic(_ output: (String) throws(HarnessError) -> Void) throws(HarnessError) -> Answer {
        try requireRecording()
        let recorded = try ArchiveDrafter.read(folder.appending(Recording.console))
        let outcome = try run().once(.replay(tape.string))
        try output(Self.shown(outcome.console))
        if outcome.console != recorded {
            let same = zip(outcome.console, recorded).prefix { $0 == $1 }.count
            try output(
                "# the console differs from the recorded one behind its first \(same) of \(recorded.count) bytes\n")
            return .unknown
        }
        try output("# the console is the recorded one, byte by byte (\(recorded.count) bytes)\n")
        try output("# \(Self.words(outcome.verdict))\n")
        return Answer(rawValue: outcome.verdict.answer.rawValue) ?? .unknown
    }

    private func requireRecording() throws(HarnessError) {
        if let problem = Recording.obstacle(machine) {
            throw .usage("\(manifest.name) cannot be played back: \(problem)")
        }
        guard manifest.part(ArchiveLayout.recording) != nil, manifest.part(Recording.console) != nil else {
            throw .usage("\(manifest.name) has no recording (bpftest run --archive DIR --record makes one)")
        }
        guard kernel == folder.appending(ArchiveLayout.kernel) else {
            throw .usage("a recording is of one kernel: --kernel and --deterministic exclude each other")
        }
        let version = manifest.versions[Recording.version] ?? "?"
        if version != qemu.version {
            log(
                "the recording is of QEMU \(printable(version, limit: 40)), this is \(qemu.version): it may not be read"
            )
        }
    }

    // MARK: By hand

    private var socket: String { work.path.appending("gdb").string }
    private var snapshots: FilePath { work.path.appending("snapshots.qcow2") }

    private func debugger(_ recording: Bool) throws(HarnessError) -> Answer {
        if recording {
            try requireRecording()
            try ArchiveRun.join([EmptyImage.qcow2(bytes: 1 << 20)], to: snapshots)
        }
        var line = line(.debugger(recording: recording))
        // Its console is for a person to see, beside the debugger.
        line.console = "file,id=console,path=/dev/fd/2"
        let symbols = manifest.part(ArchiveLayout.symbols) == nil ? nil : folder.appending(ArchiveLayout.symbols).string
        var commands = ["set pagination off", "set architecture i386:x86-64"]
        if let symbols { commands.append("symbol-file\(try offset(recording)) \(symbols)") }
        commands.append("target remote \(socket)")
        let words = commands.flatMap { ["-ex", $0] }
        log("gdb -nx " + words.map(shellQuoted).joined(separator: " "))
        log("the machine stands before its first instruction: continue lets it run to its end")
        if recording {
            log("from a breakpoint on the way, as of hbreak panic, reverse-continue and reverse-stepi go back")
        }
        if symbols == nil { log("the archive has no symbols (bpftest run --archive-symbols packs vmlinux)") }
        let machine = ConsoleMachine(qemu: qemu, arguments: line.arguments, limit: .seconds(86_400))
        guard let gdb = Self.find("gdb") else {
            log("gdb is not in PATH: start it elsewhere with the line above; ^C ends the machine")
            return try interactive(line)
        }
        do {
            // A terminal's own variables, and nothing else of the user's.
            let environment = ProcessInfo.processInfo.environment.filter { ["TERM", "PATH", "HOME"].contains($0.key) }
            _ = try machine.runInteractively(
                beside: (gdb, [gdb, "-nx", "-q"] + words, environment.map { "\($0.key)=\($0.value)" }))
        } catch {
            throw .infrastructure("\(error)")
        }
        return .notAgain
    }

    /// Where a recorded kernel lies, as far as it has said so: the end of its crash has it.
    private func offset(_ recording: Bool) throws(HarnessError) -> String {
        guard recording else { return "" }
        let console = String(decoding: try ArchiveDrafter.read(folder.appending(Recording.console)), as: UTF8.self)
        if let offset = Self.kernelOffset(console) { return offset == 0 ? "" : " -o 0x\(String(offset, radix: 16))" }
        if !machine.commandLine.split(separator: " ").contains("nokaslr") {
            log("the kernel has not said where it lies: with CONFIG_RANDOMIZE_BASE its symbols are elsewhere")
        }
        return ""
    }

    /// Of `Kernel Offset: 0x29000000 from 0xffffffff81000000`, or `Kernel Offset: disabled`.
    static func kernelOffset(_ console: String) -> UInt64? {
        guard let range = console.firstRange(of: "Kernel Offset: ") else { return nil }
        let word = console[range.upperBound...].prefix { $0.isLetter || $0.isNumber }
        if word == "disabled" { return 0 }
        return word.hasPrefix("0x") ? UInt64(word.dropFirst(2), radix: 16) : nil
    }

    private func interactive(_ line: MachineLine) throws(HarnessError) -> Answer {
        do {
            _ = try ConsoleMachine(qemu: qemu, arguments: line.arguments, limit: .seconds(86_400)).runInteractively()
            return .notAgain
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    static func find(_ program: String) -> String? {
        ProgramClosure.find(program, environment: ProcessInfo.processInfo.environment)
    }
}

/// Images that QEMU takes for a disk.
enum EmptyImage {
    /// An empty disk of QEMU's own form, which has room for snapshots.
    ///
    /// - Source: QEMU's docs/interop/qcow2.txt: header version 3, clusters of 64 KiB: header, table of reference counts,
    ///   one block of them, first-level table.
    static func qcow2(bytes: UInt64) -> [UInt8] {
        let cluster = 1 << 16
        var image = [UInt8](repeating: 0, count: 4 * cluster)
        func put(_ value: UInt64, _ count: Int, _ at: Int) {
            for index in 0..<count {
                image[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - index)))
            }
        }
        put(0x5146_49fb, 4, 0)
        put(3, 4, 4)
        put(16, 4, 20)
        put(bytes, 8, 24)
        put(1, 4, 36)
        put(UInt64(3 * cluster), 8, 40)
        put(UInt64(cluster), 8, 48)
        put(1, 4, 56)
        put(4, 4, 96)
        put(104, 4, 100)
        put(UInt64(2 * cluster), 8, cluster)
        for index in 0..<4 { put(1, 2, 2 * cluster + 2 * index) }
        return image
    }
}
