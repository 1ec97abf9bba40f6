// SPDX-License-Identifier: Apache-2.0
internal import VMRunner

/// A kernel's place in a run: taken from the start, or filled while other kernels run.
///
/// A run begins with whatever is there; a kernel that is still being fetched joins it, and one that cannot be had costs
/// only its own results.
public final class KernelSlot: Sendable {
    private struct State {
        var result: Result<PreparedKernel, HarnessError>?
        var listener: (@Sendable (Result<PreparedKernel, HarnessError>) -> Void)?
    }

    /// As the user named it: what `-k` takes.
    public let spec: String
    private let state: Monitor<State>

    /// A kernel that is there.
    public init(_ kernel: PreparedKernel) {
        spec = kernel.spec
        state = Monitor(State(result: .success(kernel)))
    }

    /// A kernel that is on its way: `fill` must be called once.
    public init(spec: String) {
        self.spec = spec
        state = Monitor(State())
    }

    /// Ends the waiting for it.
    public func fill(_ result: Result<PreparedKernel, HarnessError>) {
        let listener = state.change { state in
            state.result = result
            return state.listener
        }
        listener?(result)
    }

    /// nil while it is on its way, and when it could not be had.
    public var prepared: PreparedKernel? {
        guard case .success(let kernel) = state.change({ $0.result }) else { return nil }
        return kernel
    }

    /// Calls the body once it is known what became of it: at once, or on the thread that fills it.
    func whenFilled(_ body: @escaping @Sendable (Result<PreparedKernel, HarnessError>) -> Void) {
        let result = state.change { state in
            if state.result == nil { state.listener = body }
            return state.result
        }
        if let result { body(result) }
    }
}

/// What a run is to do, and what is known beforehand.
public struct RunRequest: Sendable {
    public var kernels: [KernelSlot]
    public var selections: [Selection]
    /// What the run is a part of; nil: it is all there is.
    public var plan: RunPlan?
    /// Cases that a kernel does not run, by its index: lists of the user's, other shards.
    public var leavesOut: @Sendable (_ kernel: Int, _ name: CaseID) -> Bool = { _, _ in false }
    /// What is known of a case's failure on a kernel; nil: nothing.
    public var known: @Sendable (_ kernel: PreparedKernel, _ name: CaseID) -> KnownFailure.Verdict? = { _, _ in nil }
    /// What is said of a kernel before its cases: results of a suite `kernel`.
    public var checks: @Sendable (_ kernel: PreparedKernel) -> [CaseResult] = { _ in [] }
    /// How long a case is expected to take, from earlier runs.
    public var expected: @Sendable (_ kernel: PreparedKernel, _ name: CaseID) -> Duration? = { _, _ in nil }

    public init(kernels: [KernelSlot], selections: [Selection]) {
        self.kernels = kernels
        self.selections = selections
    }
}
