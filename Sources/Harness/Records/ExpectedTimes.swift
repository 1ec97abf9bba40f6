// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// What cases are expected to take, from the records: asked kernel by kernel, when each is there.
public final class ExpectedTimes: Sendable {
    private let file: RecordsFile
    private let known = Mutex<[String: [CaseID: Duration]]>([:])

    /// - Parameter environment: says where the records are, as `docs/records.md` has it.
    public init(environment: [String: String]) {
        file = RecordsFile(environment: environment)
    }

    /// nil where nothing is known: times only decide what is run first.
    public func of(_ name: CaseID, kernel: String) -> Duration? {
        known.withLock { known in
            if known[kernel] == nil {
                // Whatever is wrong with the records shows when the run is written.
                known[kernel] = (try? Records(file: file).expectedDurations(kernel: kernel)) ?? [:]
            }
            return known[kernel]?[name]
        }
    }
}
