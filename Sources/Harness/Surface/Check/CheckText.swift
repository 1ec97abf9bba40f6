// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

/// A check as text for people.
public enum CheckText {
    public static func table(_ report: CheckReport) -> String {
        var text = ""
        let width = report.kernels.map(\.count).max() ?? 0
        for object in report.objects {
            text += "\(object.file)\n"
            if let problem = object.problem { text += "  \(problem)\n" }
            for program in object.programs {
                text += "\n  \(program.name)  (\(program.section))\n"
                for cell in program.cells { text += line(cell, width) }
            }
            text += "\n"
        }
        return text + summary(report)
    }

    private static func line(_ cell: CheckReport.Cell, _ width: Int) -> String {
        let indent = String(repeating: " ", count: 4 + width + 2)
        let name = cell.kernel + String(repeating: " ", count: width - cell.kernel.count)
        var text = "    \(name)  \(word(cell.answer))"
        switch cell.agrees {
        case false?:
            text += "; " + (cell.prediction == .loads ? "nothing was seen that it lacks" : "it was expected to fail")
            text += " (DISAGREE)"
        case nil where cell.prediction != .unknown: text += "; expected: it \(cell.prediction.rawValue)"
        default: break
        }
        text += "\n"
        for one in cell.lacks { text += "\(indent)lacks \(say(one))\n" }
        for one in cell.without where one.area != "unknown" { text += "\(indent)does without \(say(one))\n" }
        for one in cell.without where one.area == "unknown" { text += "\(indent)\(one.name)\n" }
        return text
    }

    private static func word(_ answer: CheckReport.Answer) -> String {
        let reason = answer.reason.map { ": \($0)" } ?? ""
        switch answer.outcome {
        case .loaded: return "loads"
        case .refused:
            let errno = answer.errno.map { " \(Errno(rawValue: $0).name) (\($0))" } ?? ""
            return "refused\(errno)\(reason)"
        case .library: return "not judged\(reason)"
        case .none: return "no answer\(reason)"
        }
    }

    static func say(_ one: CheckReport.Missing) -> String {
        var text = "\(one.area) \(one.name)"
        if let change = one.change { text += " as it needs it: \(change)" }
        switch (one.first, one.last) {
        case (let first?, let last?):
            text += first == last ? " (only \(first) has it)" : " (first \(first), last \(last))"
        default: text += " (none of these kernels has it)"
        }
        return text
    }

    private static func summary(_ report: CheckReport) -> String {
        let cells = report.objects.flatMap(\.programs).flatMap(\.cells)
        let loaded = cells.filter { $0.answer.outcome == .loaded }.count
        let refused = cells.filter { $0.answer.outcome == .refused }.count
        let rest = cells.count - loaded - refused
        let wrong = cells.filter { $0.agrees == false }.count
        let broken = report.objects.filter { $0.problem != nil }.count
        return "\(loaded) loaded, \(refused) refused" + (rest == 0 ? "" : ", \(rest) without an answer of the kernel")
            + (broken == 0 ? "" : ", \(broken) \(broken == 1 ? "object" : "objects") of no use")
            + (wrong > 0 ? "; \(wrong) otherwise than expected" : cells.isEmpty ? "" : "; all as expected") + "\n"
    }
}
