// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GRDB
internal import SystemPackage

/// What earlier runs have left in the records: for questions only.
public struct Records: Sendable {
    let database: DatabaseQueue
    private let file: RecordsFile

    /// - Throws: `.usage` where there are no records yet, `.infrastructure` where they cannot be read.
    public init(environment: [String: String]) throws(HarnessError) {
        try self.init(file: RecordsFile(environment: environment))
    }

    init(file: RecordsFile) throws(HarnessError) {
        self.file = file
        let opened: DatabaseQueue?
        do throws(RecordsError) {
            opened = try file.openForReading()
        } catch {
            throw Self.explained(error, file)
        }
        guard let opened else {
            throw .usage("there are no records yet in \(file.path): bpftest run makes them")
        }
        database = opened
    }

    /// Asks the database.
    func ask<Value>(_ question: (Database) throws -> Value) throws(HarnessError) -> Value {
        do {
            return try database.read(question)
        } catch let error as HarnessError {
            throw error
        } catch {
            throw Self.explained(RecordsError(error), file)
        }
    }

    /// A damaged file is moved aside by whoever notices: the next run has to begin a new one.
    private static func explained(_ error: RecordsError, _ file: RecordsFile) -> HarnessError {
        guard case .damaged(let text) = error else {
            return .infrastructure("the records in \(file.path) cannot be read: \(error)")
        }
        let damage = "the records in \(file.path) are damaged (\(text))"
        do throws(RecordsError) {
            guard let aside = try file.setAside(file.identity) else { return .infrastructure(damage) }
            return .infrastructure("\(damage): they are now \(aside), and the next run begins new ones")
        } catch {
            return .infrastructure("\(damage), and \(error)")
        }
    }

    // MARK: Names

    struct Names {
        var ids: [Int64]
        /// As a parameter for json_each(): SQLite limits the number of plain ones.
        var json: String { "[" + ids.map { "\($0)" }.joined(separator: ",") + "]" }
    }

    /// The cases that a name stands for: SUITE/CASE, a suite, a glob over SUITE/CASE, or any part of it.
    func cases(_ name: String, _ db: Database) throws -> Names {
        let all = try Row.fetchAll(db, sql: "SELECT id, suite, name FROM test_case")
            .map { (id: $0[0] as Int64, suite: $0[1] as String, full: "\($0[1] as String)/\($0[2] as String)") }
        var found = all.filter { $0.full == name || $0.suite == name }
        if found.isEmpty { found = all.filter { Glob.matches(name, $0.full) } }
        if found.isEmpty { throw HarnessError.usage("the records know no case \(name) (bpftest list shows the cases)") }
        return Names(ids: found.map(\.id))
    }

    /// The kernels that a name stands for: what -k took in a run, a release, its beginning (6.12), or a glob over it.
    func kernels(_ name: String?, _ db: Database) throws -> Names? {
        guard let name else { return nil }
        let specs = Set(
            try Int64.fetchAll(db, sql: "SELECT DISTINCT kernel FROM run_kernel WHERE spec = ?", arguments: [name]))
        let all = try Row.fetchAll(db, sql: "SELECT id, release FROM kernel")
            .map { (id: $0[0] as Int64, release: $0[1] as String) }
        let found = all.filter { specs.contains($0.id) || Self.isRelease($0.release, name) }
        if found.isEmpty {
            let known = Set(all.map(\.release)).sorted { $0.compare($1, options: .numeric) == .orderedAscending }
            throw HarnessError.usage("the records know no kernel \(name), but " + known.joined(separator: ", "))
        }
        return Names(ids: found.map(\.id))
    }

    private static func isRelease(_ release: String, _ name: String) -> Bool {
        if name.contains("*") || name.contains("?") { return Glob.matches(name, release) }
        // 6.1 is no beginning of 6.12.
        return release.hasPrefix(name) && release.dropFirst(name.count).first?.isNumber != true
    }
}
