// SPDX-License-Identifier: Apache-2.0

/// Why results cannot be used: what is wrong, where, and what to do.
public struct ResultsError: Error, Sendable, Equatable, CustomStringConvertible {
    /// From 1; nil where it is no matter of one line.
    public var line: Int?
    public var message: String

    public init(line: Int? = nil, _ message: String) {
        self.line = line
        self.message = message
    }

    public var description: String { (line.map { "line \($0): " } ?? "") + message }
}
