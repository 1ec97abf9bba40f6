// SPDX-License-Identifier: Apache-2.0

/// What an archive is about, and what is in it: its first file, `manifest.json`. docs/archive.md has the fields.
public struct Manifest: Codable, Sendable, Equatable {
    /// Versions that are read. One is written that says no more than an archive needs: a reader passes over keys that it
    /// does not know, so what it must not pass over takes a version that it does not know.
    public static let versions = 1...2
    public static let format = "bpftest-archive"
    public static let bundleFormat = "bpftest-bundle"

    public var format: String
    public var version: Int
    /// The folder that all is in, and the file's name without `.tar.zst`.
    public var name: String
    /// nil: of a bundle, which is parts and nothing else.
    public var failure: Failure?
    public var machine: Machine?
    public var calls: [Call]?
    public var judge: Judge? {
        didSet { version = judge?.allowed == nil ? 1 : 2 }
    }
    /// Versions: bpftest, qemu.
    public var versions: [String: String]
    public var seeds: [String: String]
    /// QEMU's arguments, for a reader: nothing runs them.
    public var qemu: [String]?
    /// What became of it when it was packed, or made smaller.
    public var tried: Tried?
    /// The file that has the parts which say so, without `.tar.zst`; it lies beside this one.
    public var bundle: String?
    /// In the order in which they come.
    public var parts: [Part]

    /// What failed and how.
    public struct Failure: Codable, Sendable, Equatable {
        public var suite: String
        public var id: String
        public var title: String
        /// As in docs/results.md.
        public var blame: String
        public var message: String
        public var expected: String?
        public var observed: String?
        /// Of a crash: the same for the same trouble.
        public var crash: String?
        public var verdict: String?

        public init(
            suite: String, id: String, title: String, blame: String, message: String, expected: String? = nil,
            observed: String? = nil, crash: String? = nil, verdict: String? = nil
        ) {
            (self.suite, self.id, self.title, self.blame, self.message) = (suite, id, title, blame, message)
            (self.expected, self.observed, self.crash, self.verdict) = (expected, observed, crash, verdict)
        }
    }

    /// The virtual machine and its kernel.
    public struct Machine: Codable, Sendable, Equatable {
        public var release: String
        public var memoryMiB: Int
        public var cpus: Int
        /// `tcg` or `kvm`.
        public var accelerator: String
        /// Network cards, whose far ends only bpftest drives.
        public var cards: [String]
        /// The kernel's command line.
        public var commandLine: String

        public init(
            release: String, memoryMiB: Int, cpus: Int, accelerator: String, cards: [String], commandLine: String
        ) {
            (self.release, self.memoryMiB, self.cpus) = (release, memoryMiB, cpus)
            (self.accelerator, self.cards, self.commandLine) = (accelerator, cards, commandLine)
        }
    }

    /// A program that the guest's init starts.
    public struct Call: Codable, Sendable, Equatable {
        public var arguments: [String]
        public var environment: [String]
        public var directory: String

        public init(arguments: [String], environment: [String], directory: String) {
            (self.arguments, self.environment, self.directory) = (arguments, environment, directory)
        }
    }

    /// How it is told whether the failure happened again.
    public struct Judge: Codable, Sendable, Equatable {
        public enum Kind: String, Codable, Sendable {
            /// The case's result is `not ok`.
            case result
            /// The case is skipped, although the kernel should have what it needs.
            case absent
            /// The kernel complains.
            case splat
            /// The case has no result in its time.
            case timeout
            /// The case has no result although its agent has ended.
            case agent
            /// A program that is not an agent: its exit status, or any point that is `not ok`.
            case program
            /// The kernel does not come as far as to the case.
            case boot
        }

        public var kind: Kind
        /// The id of the case's result; `*` for a program's.
        public var watch: String
        /// Seconds for the calls, in the guest.
        public var seconds: Int
        /// Seconds for all of it, from outside.
        public var limit: Int
        /// Complaints of the kernel that may come: extended regular expressions, looked for in a line without its time
        /// stamp. Nil, and not empty: there are none. Since version 2.
        public var allowed: [String]?

        public init(kind: Kind, watch: String, seconds: Int, limit: Int, allowed: [String]? = nil) {
            (self.kind, self.watch, self.seconds, self.limit) = (kind, watch, seconds, limit)
            self.allowed = allowed
        }
    }

    public struct Tried: Codable, Sendable, Equatable {
        public var times: Int
        /// How often the failure happened.
        public var failed: Int

        public init(times: Int, failed: Int) {
            (self.times, self.failed) = (times, failed)
        }
    }

    public struct Part: Codable, Sendable, Equatable {
        public var path: String
        public var size: Int
        public var sha256: String
        /// In the bundle, and not here.
        public var shared: Bool?

        public init(path: String, size: Int, sha256: String, shared: Bool? = nil) {
            (self.path, self.size, self.sha256, self.shared) = (path, size, sha256, shared)
        }
    }

    public init(format: String = Self.format, name: String, parts: [Part] = []) {
        self.format = format
        version = 1
        self.name = name
        versions = [:]
        seeds = [:]
        self.parts = parts
    }

    public func part(_ path: String) -> Part? { parts.first { $0.path == path } }
}
