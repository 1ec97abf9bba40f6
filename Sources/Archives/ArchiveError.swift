// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// Why an archive could not be read or written.
public enum ArchiveError: Error, Sendable, Equatable {
    /// It is not what `bpftest` writes, or not whole: nothing of it was used.
    case refused(String)
    /// A system call of ours failed.
    case system(String, Errno)
}

extension ArchiveError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .refused(let what): what
        case .system(let what, let errno): "\(what): \(errno) (\(errno.name))"
        }
    }
}

/// Foreign text for a terminal: what is not printable there becomes U+FFFD.
public func printable(_ text: String, limit: Int = 2000) -> String {
    var clean = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(limit) {
        let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
        // Also what turns the direction of the text: a line must read as what it is.
        let turns =
            (0x200e...0x200f).contains(scalar.value) || (0x202a...0x202e).contains(scalar.value)
            || (0x2066...0x2069).contains(scalar.value)
        clean.append(isControl || turns ? "\u{fffd}" : scalar)
    }
    return String(clean) + (text.unicodeScalars.count > limit ? "…" : "")
}
