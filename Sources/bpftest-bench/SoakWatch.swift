// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness
internal import TAP

/// Watches a soaking run: that every case that begins has one result, the same each time, and what the guests say of
/// their clocks.
final class SoakWatch: RunObserver {
    private(set) var restores = 0
    private(set) var results = 0
    /// Results that are not as the first of their case was.
    private(set) var different: [String] = []
    /// Seconds by which the guest's clock was behind the host's when its result came.
    private(set) var behind: [Double] = []
    /// How far what a guest took for ten seconds was from the host's measure, in seconds.
    private(set) var unsteady: [Double] = []
    private(set) var repeatedRandoms = 0
    /// This process's descriptors, looked at now and then.
    private(set) var descriptors: [Int] = []
    private(set) var planned = 0

    /// Begun less ended, for each case.
    private var open: [CaseID: Int] = [:]
    private var counts: [CaseID: Int] = [:]
    private var first: [CaseID: Outcome] = [:]
    private var randoms: Set<String> = []

    func planned(_ total: Int) { planned += total }

    func started(_ name: CaseID, kernel: String, worker: Int) { open[name, default: 0] += 1 }

    func idle(worker: Int, doing: String?) {
        if doing == "restoring" { restores += 1 }
    }

    func finished(_ result: CaseResult, worker: Int) {
        results += 1
        open[result.name, default: 0] -= 1
        counts[result.name, default: 0] += 1
        if let known = first[result.name] {
            if known != result.outcome {
                different.append("\(result.name): \(result.outcome) \(result.diagnostics["message"] ?? "")")
            }
        } else {
            first[result.name] = result.outcome
        }
        if let text = result.diagnostics["realtime_ns"], let guest = Double(text) {
            behind.append(Date().timeIntervalSince1970 - guest / 1e9)
        }
        if let text = result.diagnostics["elapsed_ns"], let guest = Double(text) {
            unsteady.append(abs(result.duration / .seconds(1) - guest / 1e9))
        }
        if let random = result.diagnostics["random"], !randoms.insert(random).inserted { repeatedRandoms += 1 }
        if results % 16 == 0 { descriptors.append(Leftovers.descriptors()) }
    }

    func ended() {}

    /// Cases that began and have no result.
    var lost: Int { open.values.filter { $0 > 0 }.reduce(0, +) }

    /// Results without a beginning: a second one for the same.
    var repeated: Int { -open.values.filter { $0 < 0 }.reduce(0, +) }

    /// By how many rounds the cases differ: all are run equally often.
    var uneven: Int { (counts.values.max() ?? 0) - (counts.values.min() ?? 0) }

    /// Whether all first results were passes.
    var failures: Int { first.values.filter { $0 != .passed }.count }

    /// Descriptors that became more from the first quarter to the last.
    var gainedDescriptors: Int {
        let quarter = max(descriptors.count / 4, 1)
        return (descriptors.suffix(quarter).max() ?? 0) - (descriptors.prefix(quarter).max() ?? 0)
    }

    /// How much further the guests' clocks were behind at the end than at the beginning, in seconds.
    var clockDrift: Double {
        let quarter = max(behind.count / 4, 1)
        guard behind.count > 1 else { return 0 }
        return Array(behind.suffix(quarter)).median - Array(behind.prefix(quarter)).median
    }
}
