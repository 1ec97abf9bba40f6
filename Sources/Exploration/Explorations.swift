// SPDX-License-Identifier: Apache-2.0

/// What there is to be explored.
public enum Explorations {
    /// Targets of each subject.
    public static let targets: [(subject: String, targets: [String])] = [
        ("mprog", ["tcx", "netkit", "cgroup"]), ("kptr", ["task"]),
    ]

    /// - Returns: the subject's targets, or only the wanted one.
    public static func targets(of subject: String, only wanted: String? = nil) throws(ScriptError) -> [String] {
        guard let known = targets.first(where: { $0.subject == subject })?.targets else {
            let names = targets.map(\.subject).joined(separator: ", ")
            throw ScriptError("there is nothing to explore that is called \(subject); there are: \(names)")
        }
        guard let wanted else { return known }
        guard known.contains(wanted) else {
            throw ScriptError(
                "\(subject) has no target \(wanted); it has: \(known.joined(separator: ", "))")
        }
        return [wanted]
    }

    /// Reads a script to its end.
    public static func check(_ script: Script) throws(ScriptError) {
        _ = try targets(of: script.subject, only: script.target)
        switch (script.subject, script.target) {
        case ("kptr", _): _ = try script.steps(as: KptrStep.self)
        case (_, "cgroup"): _ = try script.steps(as: CgroupStep.self)
        default: _ = try script.steps(as: MprogStep.self)
        }
    }
}
