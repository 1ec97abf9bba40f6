// SPDX-License-Identifier: Apache-2.0
public import Foundation

/// Which kernel: what it calls itself, and where it is from.
public struct KernelIdentity: Sendable, Hashable {
    /// `uname -r`, or the spec as long as that is unknown.
    public var name: String
    /// As the user named it: what `-k` takes again.
    public var spec: String
    /// Major, minor and patch as far as they order, such as 7.3-rc7; nil where nobody said.
    public var version: String?
    /// Package, tree or file that it is from; nil where nobody said.
    public var origin: String?

    /// - Parameter spec: nil: the name.
    public init(name: String, spec: String? = nil, version: String? = nil, origin: String? = nil) {
        self.name = name
        self.spec = spec ?? name
        self.version = version
        self.origin = origin
    }
}

/// A kernel of a plan, and what is to run on it.
public struct PlannedKernel: Sendable, Equatable {
    public var identity: KernelIdentity
    /// Suites by name, in the order in which they are reported.
    public var suites: [String]

    public var name: String { identity.name }
    public var spec: String { identity.spec }
    public var version: String? { identity.version }
    public var origin: String? { identity.origin }

    public init(_ identity: KernelIdentity, suites: [String]) {
        self.identity = identity
        self.suites = suites
    }
}

/// The part of a plan that one of several machines carries out.
public struct Shard: Sendable, Hashable, CustomStringConvertible {
    /// From 1.
    public var index: Int
    public var count: Int

    /// More would be a mistake, not a plan.
    public static let most = 10_000

    /// - Returns: nil unless 1 ≤ index ≤ count ≤ `most`.
    public init?(index: Int, count: Int) {
        guard (1...Self.most).contains(count), (1...count).contains(index) else { return nil }
        self.index = index
        self.count = count
    }

    /// Reads `2/5`.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = Int(parts[0]), let count = Int(parts[1]) else { return nil }
        self.init(index: index, count: count)
    }

    public var description: String { "\(index)/\(count)" }
}

/// What a run, or a run of which this is a shard, is to do.
public struct RunPlan: Sendable, Equatable {
    /// All kernels of the plan, also those that are another shard's, in the order of the report.
    public var kernels: [PlannedKernel]
    /// nil: all of the plan is run here.
    public var shard: Shard?
    /// Whole seconds are kept.
    public var started: Date?

    public init(_ kernels: [PlannedKernel] = [], shard: Shard? = nil, started: Date? = nil) {
        self.kernels = kernels
        self.shard = shard
        self.started = started
    }
}
