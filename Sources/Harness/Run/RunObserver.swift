// SPDX-License-Identifier: Apache-2.0

/// Somebody who shows what goes on, while it goes on: no report, and nothing it does can fail the run.
///
/// All calls come from the reporting thread, and must return at once. Workers are counted from 0.
public protocol RunObserver: AnyObject {
    /// The run begins.
    ///
    /// - Parameter total: cases in all, over all kernels, repeats included.
    func planned(_ total: Int)

    /// A case began in that worker's machine.
    func started(_ name: CaseID, kernel: String, worker: Int)

    /// The worker runs no case.
    ///
    /// - Parameter doing: what it does instead, such as "booting 6.12" or "restoring"; nil: nothing.
    func idle(worker: Int, doing: String?)

    /// A case has a result: once for each attempt that counts for the tally.
    func finished(_ result: CaseResult, worker: Int)

    /// Nothing comes after it.
    func ended()
}
