// SPDX-License-Identifier: Apache-2.0

/// Which kernels the programs of objects load on, what is missing where they do not, and what the kernels say
/// themselves: docs/surface-format.md.
public struct CheckReport: Sendable, Equatable, Codable {
    public var format = "bpftest-surface-check"
    public var version = Surface.currentVersion
    /// `uname -r` of each, in the order of the columns.
    public var kernels: [String]
    public var objects: [Object]

    public struct Object: Sendable, Equatable, Codable {
        public var file: String
        /// What is wrong with the file itself; then there are no programs.
        public var problem: String?
        public var programs: [Program]
    }

    public struct Program: Sendable, Equatable, Codable {
        public var name: String
        public var section: String
        /// One for each kernel.
        public var cells: [Cell]
    }

    public struct Cell: Sendable, Equatable, Codable {
        public var kernel: String
        /// What the object and the kernel's surface let expect.
        public var prediction: Expectation
        /// Why it will not load.
        public var lacks: [Missing]
        /// What is not there and the program asks for before it uses it.
        public var without: [Missing]
        /// What the kernel said.
        public var answer: Answer
        /// Whether the kernel did as expected; nil: one of the two is not known.
        public var agrees: Bool?
    }

    public enum Expectation: String, Sendable, Codable {
        case loads
        case fails
        case unknown
    }

    public struct Missing: Sendable, Equatable, Codable {
        public var area: String
        public var name: String
        /// In what it is not as the program needs it; nil: it is not there.
        public var change: String?
        /// The first of these kernels that has it as needed; nil: none has.
        public var first: String?
        public var last: String?
    }

    public struct Answer: Sendable, Equatable, Codable {
        public enum Outcome: String, Sendable, Codable {
            case loaded
            case refused
            /// It did not come to the kernel: libbpf does not know how to load it.
            case library
            /// There is none: the machine went down, or was not asked.
            case none
        }

        public var outcome: Outcome
        public var errno: Int32?
        /// A line of the verifier's log, or of what libbpf said.
        public var reason: String?
        /// The end of the verifier's log, or of libbpf's messages.
        public var log: String?

        public init(outcome: Outcome, errno: Int32? = nil, reason: String? = nil, log: String? = nil) {
            self.outcome = outcome
            self.errno = errno
            self.reason = reason
            self.log = log
        }
    }

    public func json() throws(HarnessError) -> String { try Surface.json(self) }

    private var cells: [Cell] { objects.flatMap(\.programs).flatMap(\.cells) }

    /// Every program was loaded by every kernel, as far as they were asked.
    public var allLoad: Bool {
        objects.allSatisfy { $0.problem == nil } && cells.allSatisfy { $0.answer.outcome == .loaded }
    }

    // MARK: Making

    /// What is known of one kernel: the predictions and its answers.
    struct Kernel {
        var release: String
        /// For each object, for each of its programs.
        var predictions: [[Prediction]]
        var answers: LoadAnswers
    }

    init(
        files: [String], needs: [Result<ObjectNeeds, ObjectFile.Problem>], kernels: [Kernel]
    ) {
        self.kernels = kernels.map(\.release)
        objects = []
        for (index, file) in files.enumerated() {
            switch needs[index] {
            case .failure(let problem):
                objects.append(Object(file: file, problem: "\(problem.cause); \(problem.advice)", programs: []))
            case .success(let needs):
                let reach = Self.reach(index, needs, kernels)
                objects.append(
                    Object(
                        file: file, problem: needs.programs.isEmpty ? "it has no programs" : nil,
                        programs: needs.programs.enumerated().map { number, program in
                            Program(
                                name: program.name, section: program.section,
                                cells: kernels.map { Self.cell(index, number, program, $0, reach) })
                        }))
            }
        }
    }

    /// For everything that some kernel lacks: the first and the last kernel that does not.
    private static func reach(
        _ object: Int, _ needs: ObjectNeeds, _ kernels: [Kernel]
    ) -> [String: (first: String, last: String)] {
        let lacking = kernels.map { kernel in
            Set(kernel.predictions[object].flatMap { $0.lacks + $0.without }.map(\.key))
        }
        var reach: [String: (first: String, last: String)] = [:]
        for key in lacking.reduce(Set<String>(), { $0.union($1) }) {
            let having = kernels.indices.filter { !lacking[$0].contains(key) }.map { kernels[$0].release }
            if let first = having.first, let last = having.last { reach[key] = (first, last) }
        }
        return reach
    }

    private static func cell(
        _ object: Int, _ number: Int, _ program: ObjectNeeds.Program, _ kernel: Kernel,
        _ reach: [String: (first: String, last: String)]
    ) -> Cell {
        let prediction = kernel.predictions[object][number]
        let answer =
            kernel.answers.answers[object]?[program.name]
            ?? Answer(outcome: .none, reason: kernel.answers.problems[object] ?? kernel.answers.trouble)
        func missing(_ lack: Lack) -> Missing {
            let having = reach[lack.key]
            return Missing(
                area: lack.area, name: lack.name, change: lack.change, first: having?.first, last: having?.last)
        }
        var agrees: Bool?
        if let loads = prediction.loads, [.loaded, .refused].contains(answer.outcome) {
            agrees = loads == (answer.outcome == .loaded)
        }
        return Cell(
            kernel: kernel.release,
            prediction: prediction.loads.map { $0 ? .loads : .fails } ?? .unknown,
            lacks: prediction.lacks.map(missing),
            without: prediction.without.map(missing)
                + (prediction.unknown.map { [Missing(area: "unknown", name: $0)] } ?? []),
            answer: answer, agrees: agrees)
    }
}
