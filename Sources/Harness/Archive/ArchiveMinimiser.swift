// SPDX-License-Identifier: Apache-2.0
internal import Archives
internal import Exploration
internal import Foundation
public import SystemPackage
internal import VMRunner

/// Leaves out of an archive what its failure does not need, trying after each step whether it still fails.
public final class ArchiveMinimiser {
    private let replay: ArchiveReplay
    private let log: (String) -> Void
    private var guest: CpioArchive
    private var job: CpioArchive
    private var calls: [Manifest.Call]
    private var signature: FailureSignature?
    private var runs = 0
    private let deadline: ContinuousClock.Instant?

    /// - Parameter limit: time for all of it; what has been left out by then is left out. Nil: no limit.
    public init(_ replay: ArchiveReplay, limit: Duration?, log: @escaping (String) -> Void) throws(HarnessError) {
        self.replay = replay
        self.log = log
        deadline = limit.map { .now + $0 }
        calls = replay.manifest.calls ?? []
        do throws(ArchiveError) {
            guest = try CpioArchive(
                decoding: try Self.read(replay.folder, ArchiveLayout.guest), name: ArchiveLayout.guest)
            job = try CpioArchive(decoding: try Self.read(replay.folder, ArchiveLayout.job), name: ArchiveLayout.job)
        } catch {
            throw HarnessError(error)
        }
    }

    private static func read(_ folder: FilePath, _ path: String) throws(ArchiveError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: folder.appending(path).string) else {
            throw .system("\(path) cannot be read", .noSuchFileOrDirectory)
        }
        return Array(data)
    }

    /// Makes it smaller and writes it; blocks its thread, with which its machines end.
    ///
    /// - Returns: where it is; nil: it does not fail here, and nothing is written.
    public func run(into folder: FilePath) throws(HarnessError) -> FilePath? {
        try replay.requireNoCards()
        guard try verify() else { return nil }
        try minimise("cases that ran before", earlierCases()) { calls = self.calls(with: $0) }
        try minimiseScript()
        let objects = guest.entries.filter { $0.isFile && $0.path.hasPrefix(GuestJob.files + MachineFactory.objects) }
        try minimise("objects", objects.map(\.path)) { kept in
            guest.entries.removeAll { entry in objects.contains { $0.path == entry.path } && !kept.contains(entry.path)
            }
        }
        try minimise("modules", modules()) { keepModules($0) }
        try minimise("files", job.entries.filter { $0.isFile && $0.path.hasPrefix(GuestJob.files) }.map(\.path)) {
            kept in
            job.entries.removeAll { $0.isFile && $0.path.hasPrefix(GuestJob.files) && !kept.contains($0.path) }
        }
        // All of it together, once more: what is written is what was tried.
        guard try fails() else {
            throw .infrastructure(
                "the failure is gone with all that was left out, although it was there step by step: it is flaky")
        }
        log("\(runs) runs")
        return try write(into: folder)
    }

    /// It must fail here twice, and in the same way.
    private func verify() throws(HarnessError) -> Bool {
        for _ in 0..<2 {
            let outcome = try once()
            guard outcome.verdict.answer == .again else {
                log("it does not fail here: \(outcome.verdict.reason)")
                return false
            }
            let found = signature(of: outcome)
            if let known = signature {
                guard let common = known.common(found) else {
                    log("it fails in different ways: \(outcome.verdict.reason)")
                    return false
                }
                signature = common
            } else {
                signature = found
                log("it fails: \(outcome.verdict.reason)")
            }
        }
        return true
    }

    private func once() throws(HarnessError) -> ArchiveRun.Outcome {
        runs += 1
        let image = replay.work.path.appending("initramfs")
        try ArchiveRun.join([guest.encoded(), currentJob().encoded()], to: image)
        return try replay.run().once()
    }

    private func fails() throws(HarnessError) -> Bool {
        let outcome = try once()
        guard outcome.verdict.answer == .again, let signature else { return false }
        return signature.matches(self.signature(of: outcome))
    }

    private func signature(of outcome: ArchiveRun.Outcome) -> FailureSignature {
        FailureSignature(String(decoding: outcome.console, as: UTF8.self), outcome.verdict, replay.run().judge)
    }

    /// - Parameter apply: makes the archive one with these items alone.
    private func minimise<Item>(
        _ what: String, _ items: [Item], apply: ([Item]) -> Void
    ) throws(HarnessError) {
        if items.isEmpty { return }
        let before = (guest, job, calls)
        let left = try Reduction.minimum(items) { (some) throws(HarnessError) -> Bool in
            if let deadline, deadline <= .now { return false }
            (guest, job, calls) = before
            apply(some)
            return try fails()
        }
        (guest, job, calls) = before
        apply(left)
        log("\(what): \(left.count) of \(items.count) needed")
    }

    // MARK: Cases

    private struct Earlier {
        var call: Int
        var id: String
    }

    /// Cases that an agent runs before the last one: AGENT run SUITE CASE….
    private func earlierCases() -> [Earlier] {
        calls.enumerated().flatMap { number, call -> [Earlier] in
            guard call.arguments.count > 3, call.arguments[1] == "run" else { return [] }
            let isLast = number == calls.count - 1
            return call.arguments.dropFirst(3).dropLast(isLast ? 1 : 0).map { Earlier(call: number, id: $0) }
        }
    }

    private func calls(with kept: [Earlier]) -> [Manifest.Call] {
        calls.enumerated().compactMap { number, call -> Manifest.Call? in
            guard call.arguments.count > 3, call.arguments[1] == "run" else { return call }
            let own = kept.filter { $0.call == number }.map(\.id)
            let last = number == calls.count - 1 ? [call.arguments[call.arguments.count - 1]] : []
            if own.isEmpty, last.isEmpty { return nil }
            var call = call
            call.arguments = Array(call.arguments.prefix(3)) + own + last
            return call
        }
    }

    private func currentJob() -> CpioArchive {
        guard let judge = replay.manifest.judge else { return job }
        let text = GuestJob(calls: calls, watch: judge.watch, seconds: judge.seconds).text
        var job = job
        job.add(file: GuestJob.path, mode: 0o644, Array(text.utf8))
        return job
    }

    // MARK: Scripts, modules

    /// The calls of an exploration: the explorer has shrunk them, but by its own measure.
    private func minimiseScript() throws(HarnessError) {
        let path = GuestJob.files + ExplorationRequest.path
        guard let entry = job.entries.first(where: { $0.path == path }),
            case let text = String(decoding: entry.content, as: UTF8.self), text.hasPrefix("script\n"),
            let script = try? Script(String(text.dropFirst(7)))
        else { return }
        try minimise("operations", script.lines) { kept in
            var smaller = script
            smaller.lines = kept
            job.add(file: path, mode: entry.mode & 0o777, Array("script\n\(smaller.text())".utf8))
        }
    }

    private static let moduleList = "etc/bpftest/modules"

    private func modules() -> [String] {
        guard let list = guest.entries.first(where: { $0.path == Self.moduleList }) else { return [] }
        return String(decoding: list.content, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private func keepModules(_ lines: [String]) {
        let files = Set(lines.map { String($0.drop { $0 == "?" || $0 == "+" || $0 == "/" }) })
        guest.entries.removeAll { $0.isFile && $0.path.hasPrefix("lib/modules/") && !files.contains($0.path) }
        guest.add(file: Self.moduleList, mode: 0o644, Array(lines.map { $0 + "\n" }.joined().utf8))
    }

    // MARK: Writing

    private func write(into folder: FilePath) throws(HarnessError) -> FilePath {
        let (image, own) = (guest.encoded(), currentJob().encoded())
        var digest = Digest()
        digest.update(Array((replay.manifest.part(ArchiveLayout.kernel)?.sha256 ?? "").utf8))
        digest.update(image)
        digest.update(own)
        var manifest = replay.manifest
        // The hash at its end is of what is in it.
        let stem = manifest.name.split(separator: "-", omittingEmptySubsequences: false).dropLast().joined(
            separator: "-")
        manifest.name = "\(stem)-\(digest.finish().prefix(12))"
        manifest.calls = calls
        manifest.bundle = nil
        manifest.tried = Manifest.Tried(times: 1, failed: 1)
        manifest.versions[Recording.version] = nil
        let names = Set(guest.entries.map(\.path))
        let contents = replay.manifest.parts.compactMap { part -> ArchiveWriter.Content? in
            switch part.path {
            case ArchiveLayout.guest: return ArchiveWriter.Content(part.path, .bytes(image))
            case ArchiveLayout.job: return ArchiveWriter.Content(part.path, .bytes(own))
            case ArchiveLayout.script, ArchiveLayout.readme: return nil
            default:
                // A recording is of the image that was.
                if part.path.hasPrefix("recording/") || !Self.isNeeded(part.path, names) { return nil }
                return ArchiveWriter.Content(part.path, .file(replay.folder.appending(part.path)))
            }
        }
        do throws(ArchiveError) {
            return try ArchivePacker.write(manifest, contents, into: folder)
        } catch {
            throw HarnessError(error)
        }
    }

    /// Objects and their sources stay with those in the image.
    private static func isNeeded(_ path: String, _ names: Set<String>) -> Bool {
        for (prefix, ending) in [("guest/objects/", ""), ("sources/", ".o")] where path.hasPrefix(prefix) {
            if path.hasPrefix(prefix + "user/") { return true }
            let name = ending.isEmpty ? path.dropFirst(prefix.count) : path.dropFirst(prefix.count).dropLast(2) + ending
            return names.contains("\(GuestJob.files)\(MachineFactory.objects)/\(name)")
        }
        return true
    }
}
