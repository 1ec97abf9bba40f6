// SPDX-License-Identifier: Apache-2.0

/// A line of the JSON lines; docs/results.md has the grammar.
struct ResultEvent: Codable {
    enum Kind: String, Codable {
        case runStarted = "run_started"
        case kernelStarted = "kernel_started"
        case suiteStarted = "suite_started"
        case caseFinished = "case_finished"
        case suiteFinished = "suite_finished"
        case kernelFinished = "kernel_finished"
        case comment
        case bailedOut = "bailed_out"
        case runFinished = "run_finished"
    }

    enum Verdict: String, Codable {
        case passed, skipped, failed
    }

    struct Planned: Codable {
        var name: String
        var spec: String
        var version: String?
        var origin: String?
        var suites: [String]

        init(_ kernel: PlannedKernel) {
            (name, spec, version, origin) = (kernel.name, kernel.spec, kernel.version, kernel.origin)
            suites = kernel.suites
        }

        var kernel: PlannedKernel {
            PlannedKernel(KernelIdentity(name: name, spec: spec, version: version, origin: origin), suites: suites)
        }
    }

    struct Part: Codable {
        var index: Int
        var count: Int
    }

    var event: Kind
    var version: Int?
    var kernels: Int?
    var plan: [Planned]?
    var shard: Part?
    var started: String?
    var kernel: String?
    var spec: String?
    var kernel_version: String?
    var origin: String?
    var suites: Int?
    var suite: String?
    var cases: Int?
    var id: String?
    var title: String?
    var outcome: Verdict?
    var blame: String?
    var reason: String?
    var known: String?
    var duration_ms: Int64?
    var diagnostics: [[String]]?
    var comments: [String]?
    var text: String?
    var passed: Int?
    var failed: Int?
    var skipped: Int?
    var known_failed: Int?

    init(event: Kind, kernel: String? = nil, suite: String? = nil) {
        self.event = event
        self.kernel = kernel
        self.suite = suite
    }
}

/// What is looked at before the rest of a line: an event of a later form is not ours to refuse.
struct ResultEventName: Decodable {
    var event: String?
    var version: Int?
}
