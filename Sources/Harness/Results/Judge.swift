// SPDX-License-Identifier: Apache-2.0
internal import TAP
internal import VMRunner

/// Turns an agent's point into an outcome: a pure function of what was said and which kernel it was said on.
struct Judge {
    let version: KernelVersion
    let config: KernelConfig?

    /// - Returns: the outcome, and the diagnostics with what the judgement adds to them.
    func judge(_ point: TestPoint, _ diagnostics: Diagnostics) -> (Outcome, Diagnostics) {
        guard case .skip(let reason) = point.directive else {
            if case .todo = point.directive, !point.ok {
                return (.skipped(reason: "known to fail (TODO)"), diagnostics)
            }
            return (point.ok ? .passed : .failed(.test), diagnostics)
        }
        guard let feature = diagnostics["absent"] else { return (.skipped(reason: reason), diagnostics) }
        let evidence = diagnostics["evidence"] ?? "no evidence given"
        guard let since = diagnostics["since"].flatMap({ KernelVersion($0) }) else {
            return (.skipped(reason: "\(feature) is absent: \(evidence)"), diagnostics)
        }
        if version < since {
            return (.skipped(reason: "\(feature) is absent and not due before \(since): \(evidence)"), diagnostics)
        }
        let options = diagnostics["config"].map { $0.split(separator: " ").map(String.init) } ?? []
        if let config, let option = options.first(where: { !config.isEnabled($0) }) {
            return (.skipped(reason: "\(feature) is absent: \(option) is not set"), diagnostics)
        }
        var found = diagnostics
        found["message"] = "\(feature) is absent although \(version) is due to have it (since \(since))"
        found["expected"] = "\(feature) present"
        found["observed"] = evidence
        if config == nil {
            found["hint"] =
                "the kernel's config is unknown: put it beside the image as config-RELEASE or .config, so that "
                + "options that are not set can be told from features that are missing"
        }
        return (.failed(.absent), found)
    }
}
