// SPDX-License-Identifier: Apache-2.0
internal import VMRunner

/// Which of the kernels that are built from the same source.
public enum KernelFlavour: String, Sendable, Codable, CaseIterable, Comparable {
    /// Made for virtual machines: a quarter of the generic one's size.
    case cloud
    /// Made for real machines: with the drivers of network cards.
    case generic

    /// Of one of Debian's releases, `6.12.117+deb12-cloud-amd64`; nil for what is neither.
    init?(release: some StringProtocol) {
        if release.hasSuffix("-cloud-amd64") {
            self = .cloud
        } else if release.hasSuffix("-amd64"), !release.hasSuffix("-rt-amd64") {
            self = .generic
        } else {
            return nil
        }
    }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A kernel as the user asks for it: `6.12`, `6.12.117`, `6.6.*`, `7.3-rc`, `7.3-rc7`, `latest`, `all`, or a release as
/// `uname -r` says it; with `:cloud` or `:generic` behind it.
public struct KernelRequest: Sendable, Equatable, CustomStringConvertible {
    public let description: String
    let kind: Kind
    /// As named; nil: cloud of Debian's, any of others'.
    let flavour: KernelFlavour?

    enum Kind: Equatable {
        case version(major: Int, minor: Int, patch: Int?, Candidate)
        /// One kernel of Debian's, by its release.
        case release(String)
        /// The newest release; no candidate is one.
        case latest
        /// The newest of each series.
        case all
    }

    /// Whether a release candidate is asked for, and which.
    enum Candidate: Equatable { case none, any, number(Int) }

    /// - Returns: nil for what is no version.
    public init?(_ text: String) {
        guard let (kind, flavour) = try? Self.parse(text) else { return nil }
        description = text
        self.kind = kind
        self.flavour = flavour
    }

    /// What is wrong with something that was meant for a version; nil where it was not, or nothing is.
    public static func complaint(about text: String) -> String? {
        do {
            _ = try parse(text)
            return nil
        } catch {
            return error.words
        }
    }

    /// Several kernels: `KernelStore.expand` makes them of it.
    public var isSeveral: Bool { kind == .all }

    private struct NoVersion: Error {
        /// nil: it has no likeness to a version.
        var words: String?
    }

    private static func parse(_ text: String) throws(NoVersion) -> (Kind, KernelFlavour?) {
        guard let colon = text.firstIndex(of: ":") else {
            guard let kind = kind(text) else { throw NoVersion() }
            return (kind, nil)
        }
        guard let kind = kind(String(text[..<colon])) else { throw NoVersion() }
        let name = text[text.index(after: colon)...]
        guard let flavour = KernelFlavour(rawValue: String(name)) else {
            let known = KernelFlavour.allCases.map { ":\($0)" }.joined(separator: " or ")
            throw NoVersion(words: "'\(text)': there is no flavour '\(name)', only \(known)")
        }
        if case .release(let release) = kind, KernelFlavour(release: release) != flavour {
            throw NoVersion(words: "'\(text)': \(release) is not of the flavour \(flavour)")
        }
        return (kind, flavour)
    }

    private static func kind(_ text: String) -> Kind? {
        if text == "latest" { return .latest }
        if text == "all" { return .all }
        if KernelFlavour(release: text) != nil, text.first?.isNumber == true, KernelVersion(text) != nil,
            !text.contains("/")
        {
            return .release(text)
        }
        var rest = Substring(text)
        var candidate = Candidate.none
        if let dash = text.firstIndex(of: "-") {
            rest = text[..<dash]
            let suffix = text[dash...].dropFirst()
            guard suffix.hasPrefix("rc") else { return nil }
            if suffix == "rc" {
                candidate = .any
            } else if let number = number(suffix.dropFirst(2)) {
                candidate = .number(number)
            } else {
                return nil
            }
        }
        let parts = rest.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, let major = number(parts[0]), let minor = number(parts[1])
        else { return nil }
        var patch: Int?
        if parts.count == 3, parts[2] != "*" {
            guard let number = number(parts[2]) else { return nil }
            patch = number
        }
        return .version(major: major, minor: minor, patch: patch, candidate)
    }

    private static func number(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(text) : nil
    }

    /// Whether a kernel of this version is what was asked for.
    func matches(_ version: KernelVersion) -> Bool {
        switch kind {
        case .release: return false
        case .latest: return version.candidate == nil
        case .all: return true
        case .version(let major, let minor, let patch, let candidate):
            guard version.major == major, version.minor == minor else { return false }
            if let patch, version.patch != patch { return false }
            return switch candidate {
            case .none: version.candidate == nil
            case .any: version.candidate != nil
            case .number(let number): version.candidate == number
            }
        }
    }

    /// Whether a kernel is what was asked for.
    ///
    /// - Parameter flavour: nil for a kernel that is not Debian's.
    func matches(release: String, _ version: KernelVersion, _ flavour: KernelFlavour?) -> Bool {
        if case .release(let wanted) = kind { return release == wanted }
        guard matches(version) else { return false }
        if let flavour { return flavour == self.flavour ?? .cloud }
        return self.flavour == nil
    }
}

/// A line of kernels, of which the newest stands for all: `6.12`, or the candidates of a version, `7.3-rc`.
struct KernelSeries: Sendable, Hashable, Comparable, CustomStringConvertible {
    var major: Int
    var minor: Int
    var isCandidate: Bool

    init(_ version: KernelVersion) {
        major = version.major
        minor = version.minor
        isCandidate = version.candidate != nil
    }

    var description: String { "\(major).\(minor)" + (isCandidate ? "-rc" : "") }

    static func < (left: Self, right: Self) -> Bool {
        (left.major, left.minor, left.isCandidate ? 0 : 1) < (right.major, right.minor, right.isCandidate ? 0 : 1)
    }
}
