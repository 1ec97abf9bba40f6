// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// A process of this host by id and start time together: ids are used again.
enum ProcessMark {
    static let own = of(ProcessInfo.processInfo.processIdentifier)

    /// - Returns: an empty text, which is no mark, where /proc cannot be read.
    private static func of(_ pid: Int32) -> String {
        WorkFolder.startTime(pid).map { "\(pid)-\($0)" } ?? ""
    }

    static func isAlive(_ mark: String) -> Bool {
        guard let pid = mark.split(separator: "-").first.flatMap({ Int32($0) }) else { return false }
        return of(pid) == mark
    }
}
