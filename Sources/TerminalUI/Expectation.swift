// SPDX-License-Identifier: Apache-2.0
public import Harness

/// How long cases are expected to take, from earlier runs: only the proportions matter.
public struct Expectation: Sendable {
    /// The sum over all planned cases, in the unit of `of`.
    public let total: Double
    /// What one case contributes to it.
    public let of: @Sendable (_ kernel: String, _ name: CaseID) -> Double

    public init(total: Double, of: @escaping @Sendable (_ kernel: String, _ name: CaseID) -> Double) {
        self.total = total
        self.of = of
    }

    /// From recorded times; a case that has none is taken for as long as the others are on average.
    ///
    /// - Parameters:
    ///   - kernels: by their release, each running all cases.
    ///   - overhead: what each case takes besides, whether it is long or short.
    ///   - recorded: how long a case took, nil where that is not known.
    /// - Returns: nil if nothing is known of any case.
    public init?(
        kernels: [String], cases: [CaseID], repeats: Int = 1, overhead: Duration = .milliseconds(20),
        recorded: (_ kernel: String, _ name: CaseID) -> Duration?
    ) {
        var known: [String: [CaseID: Double]] = [:]
        var count = 0
        var sum = 0.0
        for kernel in kernels {
            for name in cases {
                guard let time = recorded(kernel, name) else { continue }
                let seconds = (time + overhead) / .seconds(1)
                known[kernel, default: [:]][name] = seconds
                sum += seconds
                count += 1
            }
        }
        guard sum > 0 else { return nil }
        let mean = sum / Double(count)
        let unknown = kernels.count * cases.count - count
        self.init(total: (sum + Double(unknown) * mean) * Double(repeats)) { [known] kernel, name in
            known[kernel]?[name] ?? mean
        }
    }
}
