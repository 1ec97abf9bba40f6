// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// The first two numbers of a kernel's version, as far as anything is told by them.
public struct KernelRelease: Sendable, Comparable, CustomStringConvertible {
    public let major: Int
    public let minor: Int

    public init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads `6.12`, `6.12.117+deb12-amd64`, `7.3-rc7`; nil for what does not start with two numbers.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1].prefix { $0.isNumber }) else {
            return nil
        }
        self.init(major, minor)
    }

    /// Of the running kernel; 0.0 if it tells none.
    public static let running: KernelRelease = {
        var names = utsname()
        guard unsafe uname(&names) == 0 else { return KernelRelease(0, 0) }
        let text = unsafe withUnsafeBytes(of: &names.release) { raw in
            unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        return KernelRelease(text) ?? KernelRelease(0, 0)
    }()

    public static func < (left: KernelRelease, right: KernelRelease) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }

    public var description: String { "\(major).\(minor)" }
}

extension KernelRelease {
    /// The releases whose sources docs/semantics/ was read from.
    public static let v5_10 = KernelRelease(5, 10)
    public static let v6_1 = KernelRelease(6, 1)
    public static let v6_12 = KernelRelease(6, 12)
    public static let v7_2 = KernelRelease(7, 2)
    public static let v7_3 = KernelRelease(7, 3)
}
