// SPDX-License-Identifier: Apache-2.0

/// Passes what happens to everybody who listens, and counts.
///
/// A sink that cannot write ends the run: a result that nobody can read is lost.
public final class Journal {
    private var sinks: [any ResultSink]
    /// Progress and explanations for a person: never results.
    public let log: (String) -> Void
    /// Shows what goes on meanwhile.
    let observer: (any RunObserver)?
    public private(set) var tally = Tally()

    public init(
        sinks: [any ResultSink], log: @escaping (String) -> Void, observer: (any RunObserver)? = nil
    ) {
        self.sinks = sinks
        self.log = log
        self.observer = observer
    }

    public func tell(_ event: (inout any ResultSink) throws -> Void) throws(HarnessError) {
        for index in sinks.indices {
            do {
                try event(&sinks[index])
            } catch {
                throw .infrastructure("results cannot be written: \(error)")
            }
        }
    }

    func record(_ result: CaseResult) throws(HarnessError) {
        tally.count(result)
        try tell { try $0.caseFinished(result) }
    }
}
