// SPDX-License-Identifier: Apache-2.0

/// Cases about one subject.
public struct Suite: Sendable {
    /// What a suite's cases are kept apart from, each from the others: made anew for each, gone with it.
    public struct Isolation: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        /// An own network namespace, in which only `lo` exists, and is up.
        public static let network = Isolation(rawValue: 1)
        /// An own mount namespace; nothing propagates out of it.
        public static let mount = Isolation(rawValue: 2)
    }

    public let name: String
    public let title: String
    public let isolation: Isolation
    /// Processors that a machine must have at least: more than one for what happens between two.
    public let cpus: Int
    /// Network cards that a machine for the suite must have, by QEMU's names; `Wire` reaches their far ends.
    public let cards: [String]
    /// Run once before the first case whose needs are met, in the process that all cases are forked from; also in
    /// advance, before it is known which suite's cases come. What it leaves in the kernel must not disturb others'.
    public let prepare: @Sendable () throws -> Void
    /// BPF objects that cases load: a process that is made ready in advance opens them.
    public let objects: [String]
    public let cases: [Case]

    /// - Parameters:
    ///   - name: unique among all suites; `subject.part`.
    ///   - title: what the suite is about, in a line.
    ///   - cpus: processors that a machine for the suite must have at least.
    ///   - cards: network cards that a machine for the suite must have, such as `Wire.everyCard`.
    ///   - objects: BPF objects that cases load, relative to `BPFObject.directory`.
    ///   - prepare: brings in what all cases use, such as loaded objects. When it throws, every case fails.
    public init(
        _ name: String, _ title: String, isolation: Isolation = [], cpus: Int = 1, cards: [String] = [],
        objects: [String] = [], prepare: @escaping @Sendable () throws -> Void = {}, @CaseBuilder cases: () -> [Case]
    ) {
        self.name = name
        self.title = title
        self.isolation = isolation
        self.cpus = cpus
        self.cards = cards
        self.prepare = prepare
        self.objects = objects
        self.cases = cases()
    }
}

/// One promise of the kernel, and how it is checked.
public struct Case: Sendable {
    /// Unique in its suite; no white space.
    public let id: String
    /// What the kernel promises.
    public let title: String
    /// Ids of the specification (docs/semantics/) that the case stands for.
    public let spec: [String]
    /// First mainline release that keeps the promise; nil: all that are supported.
    public let since: String?
    public let needs: [Feature]
    /// Gets a machine for itself: what it leaves in the kernel cannot be taken back.
    public let alone: Bool
    let body: @Sendable (Test) throws -> Void

    /// - Parameters:
    ///   - spec: the case's own id when left out.
    ///   - alone: gets a machine for itself, for it leaves marks that cannot be taken back (a sysctl that cannot be
    ///     reset, the last of a resource).
    ///   - body: throws or records a failed expectation when the kernel breaks the promise.
    public init(
        _ id: String, _ title: String, spec: [String]? = nil, since: String? = nil, needs: [Feature] = [],
        alone: Bool = false, body: @escaping @Sendable (Test) throws -> Void
    ) {
        self.id = id
        self.title = title
        self.spec = spec ?? [id]
        self.since = since
        self.needs = needs
        self.alone = alone
        self.body = body
    }
}

/// Lists cases as statements, loops and tables of them.
@resultBuilder
public enum CaseBuilder {
    public static func buildExpression(_ one: Case) -> [Case] { [one] }
    public static func buildExpression(_ many: [Case]) -> [Case] { many }
    public static func buildBlock(_ parts: [Case]...) -> [Case] { parts.flatMap { $0 } }
    public static func buildArray(_ parts: [[Case]]) -> [Case] { parts.flatMap { $0 } }
    public static func buildOptional(_ part: [Case]?) -> [Case] { part ?? [] }
    public static func buildEither(first: [Case]) -> [Case] { first }
    public static func buildEither(second: [Case]) -> [Case] { second }
}

/// Something that a kernel may lack, and how its presence is seen on the running one.
public struct Feature: Sendable {
    public enum Presence: Sendable {
        case present
        /// What the kernel answered, in words.
        case absent(evidence: String)
    }

    public let name: String
    /// First mainline release that has it.
    public let since: String
    /// Options whose absence from the kernel's config explains the feature's.
    public let config: [String]
    let probe: @Sendable () -> Presence

    /// - Parameter probe: asks the running kernel; leaves nothing behind. Called once at most in an agent's run.
    public init(
        _ name: String, since: String, config: [String] = [], probe: @escaping @Sendable () -> Presence
    ) {
        self.name = name
        self.since = since
        self.config = config
        self.probe = probe
    }
}
