// SPDX-License-Identifier: Apache-2.0
internal import TAP

/// One of the things that a program reports: a point of its TAP, or the program itself.
struct ProgramPoint: Equatable {
    /// Unique among the program's, without white space; levels are separated by `/`.
    var id: String
    var title: String
    var outcome: Outcome
    var diagnostics = Diagnostics()
    var duration = Duration.zero
}

/// Reads what a program prints as TAP 13, TAP 14 or KTAP, with whatever nesting, and makes it points.
///
/// The guest is hostile: points and bytes kept of them are bounded, names are made unique and harmless.
struct ProgramTAP {
    /// Points kept; more are counted and make the program fail.
    static let pointLimit = 20_000
    /// Bytes of comments kept for a point.
    private static let notesLimit = 8192
    private static let nameLimit = 200
    private static let lineLimit = TAPParser.Limits().line

    private let judge: Judge
    private var parser = TAPParser()
    private var indents = IndentLevels()
    private var line: [UInt8] = []
    /// Points that wait for the point that stands for all of them: by depth.
    private var levels: [Level] = [Level()]
    private var names: [String: Int] = [:]
    private var dropped = 0
    /// A version or a plan was seen: the output is meant to be read.
    private(set) var isTAP = false
    private(set) var bailOut: String?

    private struct Level {
        var points: [Named] = []
        var plan: Int?
        var skip: String?
        var count = 0
        /// What comments and blocks say of the next point.
        var notes = Diagnostics()
        var comments = ""
        /// From `# Subtest: NAME` until its point comes.
        var name: String?
    }

    /// A point by the names of the levels around it.
    private struct Named {
        var path: [String]
        var point: ProgramPoint
    }

    init(judge: Judge) {
        self.judge = judge
    }

    /// Points so far, those of open subtests included.
    var count: Int { levels.reduce(0) { $0 + $1.points.count } + dropped }

    /// The reason of a plan of nothing, `1..0 # SKIP reason`.
    var skippedAll: String? { levels[0].plan == 0 ? levels[0].skip : nil }

    /// Takes the next bytes.
    ///
    /// - Parameter found: told of each point as it comes, and may change what becomes of it.
    mutating func append(_ bytes: ArraySlice<UInt8>, found: (inout ProgramPoint) -> Void) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                for event in parser.append(indents.normalized(line[...]) + [byte]) { read(event, found) }
                line.removeAll(keepingCapacity: true)
            } else if line.count <= Self.lineLimit {
                // One more than the parser keeps, so that it says that the line was cut.
                line.append(byte)
            }
        }
    }

    /// The output is over.
    ///
    /// - Returns: all points, and failures of what was announced and did not come.
    mutating func finish(found: (inout ProgramPoint) -> Void) -> [ProgramPoint] {
        for event in parser.append(indents.normalized(line[...])) + parser.finish() { read(event, found) }
        line = []
        while levels.count > 1 {
            // The program ended inside of a subtest: its points stand for themselves.
            let level = levels.removeLast()
            let name = levels[levels.count - 1].name ?? "subtest"
            levels[levels.count - 1].name = nil
            var points = Self.under(name, level.points)
            points.append(Self.unfinished([name], "the output ended before the result of this subtest", level))
            levels[levels.count - 1].points += points
        }
        var points = levels[0].points
        if let plan = levels[0].plan, plan != levels[0].count, bailOut == nil {
            points.append(Self.unfinished(["plan"], "not as many results as announced", levels[0]))
        }
        if dropped > 0 {
            var point = ProgramPoint(
                id: "", title: "", outcome: .failed(.agent), diagnostics: Diagnostics())
            point.diagnostics["message"] = "\(dropped) results beyond \(Self.pointLimit) were dropped"
            points.append(Named(path: ["too-many-results"], point: point))
        }
        if let bailOut {
            var point = ProgramPoint(id: "", title: "", outcome: .failed(.test))
            point.diagnostics["message"] = "the program gave up: \(bailOut)"
            points.append(Named(path: ["bail-out"], point: point))
        }
        return points.map { named(path: $0.path, $0.point) }
    }

    private static func unfinished(_ path: [String], _ message: String, _ level: Level) -> Named {
        var point = ProgramPoint(id: "", title: "", outcome: .failed(.agent))
        point.diagnostics["message"] = message
        if let plan = level.plan {
            point.diagnostics["expected"] = "\(plan) results"
            point.diagnostics["observed"] = "\(level.count)"
        }
        return Named(path: path, point: point)
    }

    // MARK: Events

    private mutating func read(_ event: TAPEvent, _ found: (inout ProgramPoint) -> Void) {
        switch event {
        case .version: isTAP = true
        case .plan(let depth, let count, let skip):
            isTAP = true
            open(depth)
            levels[depth].plan = count
            levels[depth].skip = skip
        case .subtest(let depth, let name):
            // At the depth of its points or one less: the innermost level that is open has no point of it yet.
            levels[min(depth, levels.count - 1)].name = name
        case .diagnosticsBefore(let depth, let diagnostics):
            open(depth)
            for field in diagnostics.fields.prefix(64) { levels[depth].notes[field.key] = field.value }
        case .point(let depth, let point): take(point, depth, found)
        case .yamlAfter(let depth, let lines):
            guard depth < levels.count, !levels[depth].points.isEmpty else { return }
            levels[depth].points[levels[depth].points.count - 1].point.diagnostics["yaml"] =
                lines.joined(separator: "\n")
        case .comment(let depth, let text):
            open(depth)
            if levels[depth].comments.utf8.count + text.utf8.count < Self.notesLimit {
                levels[depth].comments += text + "\n"
            }
        case .bailOut(let reason): bailOut = bailOut ?? (reason.isEmpty ? "no reason given" : reason)
        case .other(let text):
            let depth = levels.count - 1
            if levels[depth].comments.utf8.count + text.utf8.count < Self.notesLimit {
                levels[depth].comments += text + "\n"
            }
        case .truncated(let what): levels[levels.count - 1].notes["truncated"] = what
        case .caseStarted: return
        }
    }

    /// Makes the levels up to a depth.
    private mutating func open(_ depth: Int) {
        while levels.count <= depth { levels.append(Level()) }
    }

    private mutating func take(_ result: TestPoint, _ depth: Int, _ found: (inout ProgramPoint) -> Void) {
        open(depth)
        // What was open further in is over: this point stands for it.
        var inner: [Named] = []
        let name = Self.harmless(result.description)
        while levels.count > depth + 1 {
            let level = levels.removeLast()
            let label = levels.count == depth + 1 ? name : levels[levels.count - 1].name ?? "subtest"
            if let plan = level.plan, plan != level.count, !level.points.isEmpty || plan > 0 {
                inner.append(Self.unfinished(["plan"], "not as many results as announced", level))
            }
            let points = Self.under(label, level.points + inner)
            inner = []
            if levels.count == depth + 1 { inner = points } else { levels[levels.count - 1].points += points }
        }
        levels[depth].name = nil
        levels[depth].count += 1
        let notes = levels[depth].notes
        let comments = levels[depth].comments
        levels[depth].notes = Diagnostics()
        levels[depth].comments = ""
        guard count + inner.count < Self.pointLimit else {
            dropped += 1
            return
        }
        let (outcome, diagnostics) = judge.judge(result, notes)
        var point = ProgramPoint(
            id: "", title: result.description, outcome: outcome, diagnostics: outcome.isFailure ? diagnostics : notes)
        if outcome.isFailure {
            if point.diagnostics["message"] == nil { point.diagnostics["message"] = result.description }
            if !comments.isEmpty { point.diagnostics["log"] = comments }
        }
        found(&point)
        if !inner.isEmpty {
            levels[depth].points += inner
            // It stands for those in it; where they do not explain it, it is a result of its own.
            let isExplained = inner.contains { $0.point.outcome.isFailure } && point.diagnostics["splat"] == nil
            if isExplained || !point.outcome.isFailure { return }
        }
        levels[depth].points.append(Named(path: [name.isEmpty ? "\(levels[depth].count)" : name], point: point))
    }

    // MARK: Names

    private static func under(_ name: String, _ points: [Named]) -> [Named] {
        points.map { Named(path: [name.isEmpty ? "subtest" : harmless(name)] + $0.path, point: $0.point) }
    }

    /// A name without white space and control characters, of bounded length.
    private static func harmless(_ text: String) -> String {
        var name = ""
        for scalar in text.unicodeScalars {
            if name.utf8.count >= nameLimit { break }
            let isBlank = scalar.properties.isWhitespace || scalar.value < 0x20 || scalar.value == 0x7f
            if isBlank {
                if !name.hasSuffix("_") { name += "_" }
            } else {
                name.unicodeScalars.append(scalar)
            }
        }
        return name
    }

    private mutating func named(path: [String], _ point: ProgramPoint) -> ProgramPoint {
        var point = point
        let whole = path.joined(separator: "/")
        let seen = names[whole, default: 0] + 1
        names[whole] = seen
        point.id = seen == 1 ? whole : "\(whole)~\(seen)"
        // Said by the id already.
        if point.title == path.last { point.title = "" }
        return point
    }
}
