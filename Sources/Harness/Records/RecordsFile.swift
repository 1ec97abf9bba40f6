// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GRDB
internal import LinuxIO
internal import SystemPackage

/// The file that records are kept in: where it is, how it is opened, what is done with a damaged one.
struct RecordsFile: Sendable {
    let path: FilePath
    /// How long one access waits for another process.
    var patience = Duration.seconds(1)
    /// A stand-in for a full disk.
    var pageLimit: Int?

    /// `records.sqlite` in the folder that `BPFTEST_STATE` names, else in `$XDG_STATE_HOME/bpftest` or
    /// `~/.local/state/bpftest`.
    init(environment: [String: String]) {
        let folder: FilePath
        if let named = environment["BPFTEST_STATE"], !named.isEmpty {
            folder = FilePath(named)
        } else if let named = environment["XDG_STATE_HOME"], named.hasPrefix("/") {
            folder = FilePath(named).appending("bpftest")
        } else {
            folder = FilePath(environment["HOME"] ?? "/tmp").appending(".local/state/bpftest")
        }
        path = folder.appending("records.sqlite")
    }

    private var folder: FilePath { path.removingLastComponent() }

    // MARK: Opening

    /// Opens the records for a run; makes them where there are none.
    func openForWriting() throws(RecordsError) -> DatabaseQueue {
        do {
            // 0700: what the XDG base directory specification asks for.
            try FileManager.default.createDirectory(
                atPath: folder.string, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw .unusable("\(folder) cannot be made: \(Folders.reason(error))")
        }
        // Two first runs at once would both make the tables.
        return try locked { () throws(RecordsError) in
            let database = try connect(readOnly: false)
            do {
                try database.writeWithoutTransaction { db in
                    // Several runs write at once, and readers do not wait for them.
                    try db.execute(sql: "PRAGMA journal_mode = WAL")
                    // A commit survives the process but not a power cut: no run waits for the disk.
                    try db.execute(sql: "PRAGMA synchronous = NORMAL")
                    if let pageLimit { try db.execute(sql: "PRAGMA max_page_count = \(pageLimit)") }
                }
                try RecordsSchema.migrator.migrate(database)
            } catch {
                throw RecordsError(error)
            }
            return database
        }
    }

    /// Opens the records for questions.
    ///
    /// - Returns: nil where there are none yet.
    func openForReading() throws(RecordsError) -> DatabaseQueue? {
        guard FileManager.default.fileExists(atPath: path.string) else { return nil }
        let database = try connect(readOnly: true)
        do {
            // A run that has just made the file has not made the tables yet.
            return try database.read { try RecordsSchema.migrator.hasCompletedMigrations($0) } ? database : nil
        } catch {
            throw RecordsError(error)
        }
    }

    private func connect(readOnly: Bool) throws(RecordsError) -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = readOnly
        configuration.label = "bpftest records"
        configuration.busyMode = .timeout(patience / .seconds(1))
        do {
            let database = try DatabaseQueue(path: path.string, configuration: configuration)
            try database.read { db in
                // GRDB's own table comes before ours: a full disk may have stopped a first run in between.
                let tables = try Int.fetchOne(
                    db, sql: "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name <> 'grdb_migrations'")
                let application = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
                if tables != 0, application != RecordsSchema.applicationID { throw RecordsError.foreign }
                if try RecordsSchema.migrator.hasBeenSuperseded(db) { throw RecordsError.newer }
            }
            return database
        } catch {
            throw RecordsError(error)
        }
    }

    // MARK: Damage

    /// Which file it is now: another process may put a new one in its place.
    var identity: UInt64? {
        // No file: no identity.
        let attributes = try? FileManager.default.attributesOfItem(atPath: path.string)
        return (attributes?[.systemFileNumber] as? NSNumber)?.uint64Value
    }

    /// Moves a damaged file out of the way; it is never removed.
    ///
    /// - Parameter damaged: the `identity` of the file in which the damage was seen.
    /// - Returns: its new path; nil where another process has moved it already.
    func setAside(_ damaged: UInt64?) throws(RecordsError) -> FilePath? {
        try locked { () throws(RecordsError) in
            guard let damaged, identity == damaged else { return nil }
            let files = FileManager.default
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.dateFormat = "yyyyMMdd-HHmmss"
            let wanted = "\(path).corrupt-\(formatter.string(from: Date()))"
            var target = wanted
            var number = 1
            while files.fileExists(atPath: target) {
                number += 1
                target = "\(wanted)-\(number)"
            }
            do {
                try files.moveItem(atPath: path.string, toPath: target)
                // The log belongs to the damaged pages: the new file must not get it.
                for end in ["-wal", "-shm"] where files.fileExists(atPath: path.string + end) {
                    try files.moveItem(atPath: path.string + end, toPath: target + end)
                }
            } catch {
                throw .unusable("it cannot be moved aside: \(Folders.reason(error))")
            }
            return FilePath(target)
        }
    }

    private func locked<Value>(_ body: () throws(RecordsError) -> Value) throws(RecordsError) -> Value {
        let handle: OwnedFD
        do {
            handle = try Descriptors.open(folder.string, O_RDONLY | O_DIRECTORY)
        } catch {
            throw .unusable("\(folder) cannot be opened: \(error)")
        }
        // Held for milliseconds. A file system without locks refuses: what is lost then is only the order of two first
        // runs at once, and the later one says so.
        while flock(handle.raw, LOCK_EX) != 0, errno == EINTR {}
        return try withExtendedLifetime(handle) { () throws(RecordsError) in try body() }
    }
}
