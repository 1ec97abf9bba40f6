// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// What `bpftest.toml` says: docs/matrix.md has every key.
public struct MatrixConfig: Sendable, Equatable {
    /// What is special about one of the kernels.
    public struct Kernel: Sendable, Equatable {
        /// Where its modules are, if not beside it.
        public var modules: String?
        /// Words for the end of its command line.
        public var append: [String] = []
        /// What its config must have: `CONFIG_NETKIT=y`, `CONFIG_BPF_LSM` (y or m), `CONFIG_KASAN=n`.
        public var config: [ConfigExpectation] = []
        /// Only cases that one of these matches; empty: all.
        public var allow: [String] = []
        /// No case that one of these matches.
        public var deny: [String] = []

        public init() {}
    }

    /// What holds for every kernel where nothing else is said.
    public struct Defaults: Sendable, Equatable {
        public var jobs: Int?
        public var memoryMiB: Int?
        public var cpus: Int?
        public var caseSeconds: Double?
        public var bootSeconds: Double?
        public var runSeconds: Double?
        public var isolation: Isolation?
        public var reruns: Int?
        public var append: [String] = []

        public init() {}
    }

    /// A program of the user's, as `run -- PROGRAM` has it.
    public struct Program: Sendable, Equatable {
        /// Program and arguments; the program is a path, or a name that is looked up in PATH.
        public var words: [String]
        /// What its suite is called; nil: as its file.
        public var name: String?
        /// As `--file` takes them.
        public var files: [String] = []
        /// `NAME=value` each.
        public var settings: [String] = []

        public init(words: [String], name: String? = nil) {
            self.words = words
            self.name = name
        }
    }

    /// The file itself, for messages; paths in it are relative to its folder.
    public var file: FilePath
    /// As `-k` takes them, in the order of the reports.
    public var kernels: [String] = []
    /// Names and globs of built-in suites and cases; nil: all of them, unless there are objects or programs.
    public var suites: [String]?
    /// Object files, folders of them and globs.
    public var objects: [String] = []
    public var programs: [Program] = []
    /// Where kernels by version come from, besides what the environment and the command line say.
    public var sources = KernelSources()
    public var defaults = Defaults()
    /// By the kernels' names in `kernels`.
    public var special: [String: Kernel] = [:]
    public var known: [KnownFailure] = []
    /// The file of expected results.
    public var baseline: String?

    public init(file: FilePath) {
        self.file = file
    }

    /// The name that is looked for in the current folder.
    public static let usualName = "bpftest.toml"

    /// Reads the file.
    ///
    /// - Throws: `.usage`, with the line where it is known.
    public static func read(_ path: FilePath) throws(HarnessError) -> MatrixConfig {
        guard let data = FileManager.default.contents(atPath: path.string) else {
            throw .usage(
                "\(path) cannot be read: `bpftest init` writes one, --config names another"
                    + (FileManager.default.fileExists(atPath: path.string) ? " (is it readable?)" : ""))
        }
        guard data.count < 1 << 20 else { throw .usage("\(path) is larger than 1 MiB: is it the right file?") }
        guard let text = String(validating: data, as: UTF8.self) else { throw .usage("\(path) is not UTF-8") }
        return try MatrixConfig(file: path, text: text)
    }

    /// A path of the file, seen from the current folder.
    public func path(_ text: String) -> String {
        let path = FilePath(text)
        if path.isAbsolute { return text }
        return file.removingLastComponent().pushing(path).string
    }

    /// What is special about a kernel.
    public func special(_ spec: String) -> Kernel { special[spec] ?? Kernel() }

    /// Whether the lists let a case run on a kernel.
    public func allows(_ name: CaseID, on spec: String) -> Bool {
        let special = special(spec)
        let full = name.description
        if special.deny.contains(where: { CaseList.matches($0, full) }) { return false }
        return special.allow.isEmpty || special.allow.contains { CaseList.matches($0, full) }
    }
}

/// Patterns of cases, as they stand in lists.
public enum CaseList {
    /// Whether a pattern means a case: a glob over SUITE/CASE, a suite's name for all of it, or a case's.
    public static func matches(_ pattern: String, _ name: String) -> Bool {
        if pattern.contains(where: { $0 == "*" || $0 == "?" }) {
            return Glob.matches(pattern, name) || !pattern.contains("/") && Glob.matches(pattern + "/*", name)
        }
        return name == pattern || name.hasPrefix(pattern + "/")
    }

    /// Reads a list: a pattern a line; `#` begins a comment.
    public static func parse(_ text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let pattern = line.prefix { $0 != "#" }.trimmingCharacters(in: .whitespaces)
            return pattern.isEmpty ? nil : pattern
        }
    }

    /// Patterns of which some may be `@FILE`, a list in a file.
    static func expand(_ patterns: [String], path: (String) -> String) throws(HarnessError) -> [String] {
        var all: [String] = []
        for pattern in patterns {
            guard pattern.hasPrefix("@") else {
                all.append(pattern)
                continue
            }
            let file = path(String(pattern.dropFirst()))
            guard let data = FileManager.default.contents(atPath: file) else {
                throw .usage("the list \(file) cannot be read")
            }
            all += parse(String(decoding: data, as: UTF8.self))
        }
        return all
    }
}

/// A line that a kernel's config must have.
public struct ConfigExpectation: Sendable, Equatable, CustomStringConvertible {
    public let option: String
    /// nil: y or m.
    public let value: String?

    /// - Returns: nil for what is no `CONFIG_NAME` or `CONFIG_NAME=VALUE`.
    public init?(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard let name = parts.first, name.hasPrefix("CONFIG_"), name.count > 7,
            name.utf8.allSatisfy({
                $0 == UInt8(ascii: "_") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
                    || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0
            })
        else { return nil }
        option = name
        if parts.count == 2 {
            guard !parts[1].isEmpty else { return nil }
            value = parts[1]
        } else {
            value = nil
        }
    }

    public var description: String { value.map { "\(option)=\($0)" } ?? option }
}

/// A failure that is known, and for how long that is no news.
public struct KnownFailure: Sendable, Equatable {
    /// A glob over SUITE/CASE, or a suite's name.
    public var pattern: String
    /// Which kernels have it, as `kernels` names them or by release, with globs; empty: all.
    public var kernels: [String]
    public var reason: String
    /// The last day on which it is expected, as YYYY-MM-DD in UTC; nil: for ever.
    public var expires: String?

    public init(pattern: String, kernels: [String] = [], reason: String, expires: String? = nil) {
        self.pattern = pattern
        self.kernels = kernels
        self.reason = reason
        self.expires = expires
    }

    /// Whether it is about this case on this kernel.
    ///
    /// - Parameter names: what the kernel is called: as in `kernels`, its release, its version.
    public func covers(_ name: CaseID, on names: [String]) -> Bool {
        guard CaseList.matches(pattern, name.description) else { return false }
        return kernels.isEmpty
            || kernels.contains { kernel in
                names.contains { $0 == kernel || Glob.matchesWhole(kernel, $0) }
            }
    }

    /// - Parameter today: YYYY-MM-DD in UTC: dates of this form sort as text.
    public func isExpired(today: String) -> Bool {
        expires.map { $0 < today } ?? false
    }
}
