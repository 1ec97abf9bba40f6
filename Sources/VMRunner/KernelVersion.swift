// SPDX-License-Identifier: Apache-2.0

/// A kernel's version, as far as it orders: `6.12.117`, `7.3-rc7`.
public struct KernelVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var major: Int
    public var minor: Int
    public var patch: Int
    /// Of a release candidate; nil for a release, which comes after all its candidates.
    public var candidate: Int?

    public init(_ major: Int, _ minor: Int, _ patch: Int = 0, candidate: Int? = nil) {
        self.major = major
        self.minor = minor
        self.patch = patch
        self.candidate = candidate
    }

    /// Reads the start of a release string: "6.12.117+deb12-cloud-amd64", "5.10.0-46-cloud-amd64", "7.3-rc7".
    public init?(_ text: some StringProtocol) {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let parts = digits.split(separator: ".").map { Int($0) }
        guard parts.count >= 2, let major = parts[0], let minor = parts[1] else { return nil }
        self.major = major
        self.minor = minor
        patch = parts.count > 2 ? parts[2] ?? 0 : 0
        let rest = text.dropFirst(digits.count)
        if rest.hasPrefix("-rc") { candidate = Int(rest.dropFirst(3).prefix { $0.isASCII && $0.isNumber }) }
    }

    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor, left.patch, left.candidate ?? Int.max)
            < (right.major, right.minor, right.patch, right.candidate ?? Int.max)
    }

    public var description: String {
        "\(major).\(minor)" + (patch > 0 ? ".\(patch)" : "") + (candidate.map { "-rc\($0)" } ?? "")
    }
}
