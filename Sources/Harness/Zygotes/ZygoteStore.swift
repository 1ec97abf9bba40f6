// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// Zygotes on disk: found again by the next run, made once by two that need the same, checked before use.
///
/// A folder each, named by its key: `memory`, `state`, and `manifest.json`, which is written last. What is in the way
/// of keeping one (a full disk, a file system that is read-only) costs time and is logged; it never fails a run.
public struct ZygoteStore: Sendable {
    private let folder: FilePath
    /// Bytes on disk that all zygotes together may take.
    private let limit: Int
    private let log: @Sendable (String) -> Void

    /// What is used when BPFTEST_ZYGOTES_MAX (MiB) names no other limit: every suite on eleven kernels has 33 zygotes of 110
    /// to 160 MiB.
    public static let defaultLimit = 8 << 30

    public init(folders: Folders, environment: [String: String], log: @escaping @Sendable (String) -> Void) {
        folder = folders.zygotes
        limit = environment["BPFTEST_ZYGOTES_MAX"].flatMap { Int($0) }.map { $0 << 20 } ?? Self.defaultLimit
        self.log = log
    }

    /// What is known of a kept zygote.
    struct Manifest: Codable {
        var version = 1
        var release: String
        var qemu: String
        var memoryMiB: Int
        var cpus: Int
        var accelerator: Accelerator
        var notes: [String]
        var memorySum: UInt64
        var stateSum: UInt64
        var memory: FileIdentity
    }

    /// What changes when a file is written to, exchanged or restored from a copy.
    struct FileIdentity: Codable, Equatable {
        var inode: UInt64
        var size: Int
        var modified: [Int]
        var changed: [Int]

        init(_ file: borrowing OwnedFD) throws(Errno) {
            var status = stat()
            _ = try Errno.check(unsafe fstat(file.raw, &status))
            guard status.st_mode & S_IFMT == S_IFREG else { throw .invalidArgument }
            // Another user's file could be changed by that user at any time.
            guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else { throw .notPermitted }
            inode = UInt64(status.st_ino)
            size = Int(status.st_size)
            modified = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
            changed = [status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
        }
    }

    // MARK: Finding

    /// The zygote of a key, if there is one that is whole and unchanged.
    func find(_ key: ZygoteKey, settings: MachineSettings) -> Zygote? {
        let place = folder.appending(key.name)
        guard let data = FileManager.default.contents(atPath: place.appending("manifest.json").string) else {
            return nil
        }
        do {
            return try open(place, try JSONDecoder().decode(Manifest.self, from: data), key, settings)
        } catch let error as Unusable {
            log("\(place): \(error.reason): made again")
        } catch let error as Errno {
            log("\(place): \(error.name): made again")
        } catch {
            log("\(place): the manifest cannot be read: made again")
        }
        return nil
    }

    private struct Unusable: Error {
        var reason: String
    }

    private func open(
        _ place: FilePath, _ manifest: Manifest, _ key: ZygoteKey, _ settings: MachineSettings
    ) throws -> Zygote {
        let memory = try Descriptors.open(place.appending("memory").string, O_RDONLY | O_NOFOLLOW)
        let state = try Descriptors.open(place.appending("state").string, O_RDONLY | O_NOFOLLOW)
        let identity: FileIdentity
        let stateIdentity: FileIdentity
        do {
            identity = try FileIdentity(memory)
            stateIdentity = try FileIdentity(state)
        } catch {
            if error == .notPermitted { throw Unusable(reason: "it is another user's, or others may write to it") }
            throw error
        }
        guard identity.size == settings.memoryMiB << 20, manifest.memoryMiB == settings.memoryMiB else {
            throw Unusable(reason: "its memory is \(identity.size) bytes")
        }
        guard try ZygoteImage.sum(state, size: stateIdentity.size) == manifest.stateSum else {
            throw Unusable(reason: "its state is damaged")
        }
        // The size of the guest is read through only where the file has been touched since it was last seen whole.
        if identity != manifest.memory {
            guard try ZygoteImage.sum(memory, size: identity.size) == manifest.memorySum else {
                throw Unusable(reason: "its memory is damaged")
            }
            var fresh = manifest
            fresh.memory = identity
            // Not remembering costs the same reading next time.
            try? write(fresh, place)
        }
        // The time of its last use, for pruning; a read-only cache is not pruned either.
        _ = unsafe utimensat(AT_FDCWD, place.appending("manifest.json").string, nil, 0)
        return Zygote(memory: memory, state: state, settings: settings, notes: manifest.notes)
    }

    private func write(_ manifest: Manifest, _ place: FilePath) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try encoder.encode(manifest).write(
            to: URL(fileURLWithPath: place.appending("manifest.json").string), options: .atomic)
    }

    // MARK: Making

    /// Makes a zygote, or takes the one that another run makes meanwhile.
    ///
    /// - Parameter body: boots and freezes; says whether the key still fits what was made.
    /// - Throws: what the body throws.
    func make(
        _ key: ZygoteKey, _ cancellation: Cancellation, _ body: () throws(MachineError) -> (Zygote, fits: Bool)
    ) throws(MachineError) -> Zygote {
        let place = folder.appending(key.name)
        let problem = prepare(place)
        guard problem == nil else {
            log("\(place) cannot be made: \(problem ?? ""): the zygote is for this run only")
            return try body().0
        }
        let lock: LockHolder
        do {
            lock = LockHolder(
                try FileLock.take(place.appending("lock"), cancellation) {
                    log("\(key.release): another bpftest is making the zygote: waiting for it")
                })
        } catch .cancelled {
            throw .cancelled
        } catch {
            log("\(error): the zygote is for this run only")
            return try body().0
        }
        return try withExtendedLifetime(lock) { () throws(MachineError) in
            try makeLocked(key, place, body)
        }
    }

    /// A lock that is held as long as somebody refers to it.
    private final class LockHolder {
        private let lock: FileLock

        init(_ lock: consuming FileLock) {
            self.lock = lock
        }
    }

    private func makeLocked(
        _ key: ZygoteKey, _ place: FilePath, _ body: () throws(MachineError) -> (Zygote, fits: Bool)
    ) throws(MachineError) -> Zygote {
        if let made = find(key, settings: key.settings) { return made }
        let (zygote, fits) = try body()
        guard fits else { return zygote }
        do {
            try keep(zygote, key, place)
        } catch {
            let reason = (error as? Errno).map { "\($0) (\($0.name))" } ?? Folders.reason(error)
            log("\(place): \(reason): the zygote is for this run only")
            // What is left of it would take the room that is missing.
            for name in ["memory", "state"] { _ = unsafe unlink(place.appending(name).string) }
            return zygote
        }
        prune(to: limit, sparing: key.name)
        // On disk it is the page cache's, which can let go of it; the other one is memory for as long as it is open.
        return find(key, settings: key.settings) ?? zygote
    }

    /// Makes the folder; says why that cannot be done.
    private func prepare(_ place: FilePath) -> String? {
        do {
            try FileManager.default.createDirectory(
                atPath: place.string, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            return nil
        } catch {
            return Folders.reason(error)
        }
    }

    private func keep(_ zygote: Zygote, _ key: ZygoteKey, _ place: FilePath) throws {
        // An older manifest must not describe newer files, whatever happens in between.
        _ = unsafe unlink(place.appending("manifest.json").string)
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
        for name in ["memory", "state"] { _ = unsafe unlink(place.appending(name).string) }
        let memory = try Descriptors.open(place.appending("memory").string, flags, mode: 0o600)
        let state = try Descriptors.open(place.appending("state").string, flags, mode: 0o600)
        let memorySum = try ZygoteImage.copy(zygote.memory, to: memory, size: key.settings.memoryMiB << 20)
        var status = stat()
        _ = try Errno.check(unsafe fstat(zygote.state.raw, &status))
        let stateSum = try ZygoteImage.copy(zygote.state, to: state, size: Int(status.st_size))
        try write(
            Manifest(
                release: key.release, qemu: key.qemu, memoryMiB: key.settings.memoryMiB, cpus: key.settings.cpus,
                accelerator: key.settings.accelerator, notes: zygote.notes, memorySum: memorySum, stateSum: stateSum,
                memory: try FileIdentity(memory)), place)
    }

    // MARK: Listing and pruning

    /// A kept zygote, for a person to see.
    public struct Entry: Sendable {
        public var name: String
        public var release: String
        /// Accelerator, memory, processors and QEMU in words.
        public var machine: String
        /// Bytes on disk.
        public var size: Int
        /// Seconds since 1970.
        public var lastUsed: Int
        /// Made to its end.
        public var isWhole: Bool
    }

    /// All of them, the one used last first.
    public func list() -> [Entry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        return names.map { name in
            let place = folder.appending(name)
            var size = 0
            for file in ["memory", "state", "manifest.json", "lock"] {
                var status = stat()
                if unsafe stat(place.appending(file).string, &status) == 0 { size += Int(status.st_blocks) * 512 }
            }
            var status = stat()
            let manifestFile = place.appending("manifest.json").string
            var dated = unsafe stat(manifestFile, &status) == 0
            if !dated { dated = unsafe stat(place.string, &status) == 0 }
            let date = dated ? status.st_mtim.tv_sec : 0
            let manifest = FileManager.default.contents(atPath: manifestFile).flatMap {
                try? JSONDecoder().decode(Manifest.self, from: $0)
            }
            let machine = manifest.map {
                "\($0.accelerator), \($0.memoryMiB) MiB, \($0.cpus) cpu, QEMU \($0.qemu)"
            }
            return Entry(
                name: name, release: manifest?.release ?? "", machine: machine ?? "", size: size, lastUsed: date,
                isWhole: manifest != nil)
        }.sorted { $0.lastUsed > $1.lastUsed }
    }

    /// Removes what was not used for longest until the rest takes no more than `limit` bytes.
    ///
    /// Those that runs are using stay usable: they hold the files open. One that is being made stays.
    /// - Returns: the names of those removed.
    @discardableResult
    public func prune(to limit: Int, sparing spared: String? = nil) -> [String] {
        var total = 0
        var removed: [String] = []
        for entry in list() {
            total += entry.size
            guard total > limit || !entry.isWhole, entry.name != spared, !isBeingMade(entry.name) else { continue }
            do {
                try FileManager.default.removeItem(atPath: folder.appending(entry.name).string)
                removed.append(entry.name)
                total -= entry.size
            } catch {
                log("\(entry.name) cannot be removed: \(Folders.reason(error))")
            }
        }
        return removed
    }

    private func isBeingMade(_ name: String) -> Bool {
        guard let file = try? Descriptors.open(folder.appending(name).appending("lock").string, O_RDWR) else {
            return false
        }
        return file.tryLock() != nil
    }
}
