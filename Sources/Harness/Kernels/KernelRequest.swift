// SPDX-License-Identifier: Apache-2.0
internal import VMRunner

/// A version as the user types it: `6.12`, `6.12.117`, `6.6.*`, `7.3-rc`, `7.3-rc7`.
public struct KernelRequest: Sendable, Equatable, CustomStringConvertible {
    public let description: String
    let major: Int
    let minor: Int
    /// nil: any, the newest.
    let patch: Int?
    /// Whether a release candidate is asked for, and which.
    let candidate: Candidate

    enum Candidate: Equatable { case none, any, number(Int) }

    /// - Returns: nil for what is no version.
    public init?(_ text: String) {
        description = text
        var rest = Substring(text)
        if let dash = text.firstIndex(of: "-") {
            rest = text[..<dash]
            let suffix = text[dash...].dropFirst()
            guard suffix.hasPrefix("rc") else { return nil }
            if suffix == "rc" {
                candidate = .any
            } else if let number = Self.number(suffix.dropFirst(2)) {
                candidate = .number(number)
            } else {
                return nil
            }
        } else {
            candidate = .none
        }
        let parts = rest.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, let major = Self.number(parts[0]),
            let minor = Self.number(parts[1])
        else { return nil }
        self.major = major
        self.minor = minor
        if parts.count == 3, parts[2] != "*" {
            guard let patch = Self.number(parts[2]) else { return nil }
            self.patch = patch
        } else {
            patch = nil
        }
    }

    private static func number(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(text) : nil
    }

    /// Whether a kernel of this version is what was asked for.
    func matches(_ version: KernelVersion) -> Bool {
        guard version.major == major, version.minor == minor else { return false }
        if let patch, version.patch != patch { return false }
        return switch candidate {
        case .none: version.candidate == nil
        case .any: version.candidate != nil
        case .number(let number): version.candidate == number
        }
    }
}
