// SPDX-License-Identifier: Apache-2.0

/// What a kernel said of the programs of objects: what `AGENT load` sends, made into values.
///
/// - Source: docs/surface-format.md, "What the guest sends".
struct LoadAnswers: Sendable, Equatable {
    /// By the object's number and the program's name.
    private(set) var answers: [Int: [String: CheckReport.Answer]] = [:]
    /// Objects that could not be looked at.
    private(set) var problems: [Int: String] = [:]
    /// Why there are not more; nil: it came to its end.
    private(set) var trouble: String?

    static let bytesAtMost: UInt64 = 32 << 20

    /// Takes what there is: a machine that goes down leaves what came before.
    init(_ bytes: [UInt8]) {
        do throws(SurfaceError) {
            var parts = try GuestParts(bytes, begins: "load")
            var object = -1
            var program: String?
            while let part = try parts.next() {
                let text = GuestParts.printable(part.content, limit: 16 << 10)
                switch part.kind {
                case "object":
                    object = Int(part.name) ?? -1
                    program = nil
                case "problem": problems[object] = text
                case "program": program = text
                default:
                    guard let program else { throw SurfaceError("\(part.kind) of no program") }
                    try take(part, text, object, program)
                }
            }
        } catch {
            trouble = error.description
        }
    }

    private mutating func take(
        _ part: GuestParts.Part, _ text: String, _ object: Int, _ program: String
    ) throws(SurfaceError) {
        switch part.kind {
        case "loaded": answers[object, default: [:]][program] = CheckReport.Answer(outcome: .loaded)
        case "refused":
            answers[object, default: [:]][program] = CheckReport.Answer(
                outcome: .refused, errno: Int32(part.name), reason: Self.line(text))
        // libbpf found something missing, which the kernel was then not asked for.
        case "missing": change(object, program) { $0.reason = Self.line(text) }
        case "library":
            change(object, program) { answer in
                answer.outcome = .library
                answer.reason = Self.line(text)
            }
        case "log", "messages": change(object, program) { $0.log = text }
        default: throw SurfaceError("it has a part of an unknown kind, \(part.kind)")
        }
    }

    private mutating func change(_ object: Int, _ program: String, _ body: (inout CheckReport.Answer) -> Void) {
        guard var answer = answers[object]?[program] else { return }
        body(&answer)
        answers[object]?[program] = answer
    }

    private static func line(_ text: String) -> String {
        String(text.map { $0.isNewline || $0 == "\t" ? " " : $0 })
    }
}
