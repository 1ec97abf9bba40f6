// SPDX-License-Identifier: Apache-2.0
internal import GRDB

/// Why records cannot be read or written.
enum RecordsError: Error, CustomStringConvertible {
    /// Written by a bpftest that knows more than this one.
    case newer
    /// A database, but not one of bpftest's records.
    case foreign
    /// Not a database, or one with broken pages.
    case damaged(String)
    /// Another process has it, or the disk is full: may be better later.
    case passing(String)
    /// The folder or the file cannot be used.
    case unusable(String)

    init(_ error: any Error) {
        switch error {
        case let error as RecordsError: self = error
        case let error as DatabaseError: self.init(error)
        default: self = .unusable("\(error)")
        }
    }

    private init(_ error: DatabaseError) {
        // SQLite's own sentence, without the statement, which is no news to a user.
        let text = error.message ?? "\(error.resultCode)"
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .damaged(text)
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_FULL, .SQLITE_NOMEM: self = .passing(text)
        default: self = .unusable(text)
        }
    }

    var description: String {
        switch self {
        case .newer: "it was written by a newer bpftest"
        case .foreign: "it is a database, but not one of bpftest's records"
        case .damaged(let text), .passing(let text), .unusable(let text): text
        }
    }
}
