// SPDX-License-Identifier: Apache-2.0
internal import Dispatch
public import Harness
internal import Synchronization

/// Shows on a terminal how far a run is: one line for the whole, one for each worker that does something.
///
/// Events only change what is known; a timer draws it, at most ten times a second, on a queue of its own. So a slow or
/// stopped terminal does not hold up the run. Everything else that goes to the same terminal passes through
/// `interleave`.
public final class LiveProgress: RunObserver, Sendable {
    private let device: TerminalDevice
    private let colour: Bool
    private let board: Mutex<ProgressBoard>
    /// Held while the terminal is written to.
    private let region: Mutex<LiveRegion>
    private let queue = DispatchQueue(label: "bpftest.progress", qos: .userInitiated)
    private let timer: Mutex<(any DispatchSourceTimer)?>

    /// - Parameters:
    ///   - errors: the descriptor of stderr, which is drawn on.
    ///   - results: the descriptor of stdout.
    /// - Returns: nil where nothing is to be drawn: stderr is no terminal, or a dumb one; stdout is a pipe, whose reader
    ///   may use the terminal itself; BPFTEST_NO_UI is set.
    public convenience init?(environment: [String: String], errors: CInt = 2, results: CInt = 1) {
        guard TerminalDevice.isWanted(environment: environment, errors: errors, results: results) else { return nil }
        self.init(
            device: TerminalDevice(descriptor: errors),
            colour: TerminalDevice.allowsColour(environment: environment))
    }

    init(device: TerminalDevice, colour: Bool) {
        self.device = device
        self.colour = colour
        board = Mutex(ProgressBoard())
        region = Mutex(LiveRegion(on: device))
        timer = Mutex(nil)
    }

    /// What earlier runs took: the time left is guessed by it instead of by the number of cases.
    ///
    /// To be told before the first result.
    public func expect(_ expectation: Expectation) {
        board.withLock { $0.expectation = expectation }
    }

    /// Has something else written to the terminal, whole lines, and the region out of its way meanwhile.
    ///
    /// - Parameter endsLine: false if the last line is not complete.
    public func interleave<Failure: Error>(
        endsLine: Bool = true, _ write: () throws(Failure) -> Void
    ) throws(Failure) {
        try region.withLock { (region) throws(Failure) in
            try region.interleave(endsLine: endsLine, write)
        }
    }

    func draw() {
        guard !device.isOthers else { return }
        let size = device.size
        let lines = board.withLock { $0.lines(at: .now, in: size, colour: colour) }
        region.withLock { $0.show(lines, in: size) }
    }
}

// MARK: RunObserver

extension LiveProgress {
    public func planned(_ total: Int) {
        board.withLock { $0.planned(total, at: .now) }
        timer.withLock { timer in
            guard timer == nil else { return }
            let new = DispatchSource.makeTimerSource(queue: queue)
            new.schedule(deadline: .now(), repeating: .milliseconds(100), leeway: .milliseconds(20))
            new.setEventHandler { [weak self] in self?.draw() }
            new.activate()
            timer = new
        }
    }

    public func started(_ name: CaseID, kernel: String, worker: Int) {
        board.withLock { $0.started(name, kernel: kernel, worker: worker, at: .now) }
    }

    public func idle(worker: Int, doing: String?) {
        board.withLock { $0.idle(worker: worker, doing: doing, at: .now) }
    }

    public func finished(_ result: CaseResult, worker: Int) {
        board.withLock { $0.finished(result, worker: worker, at: .now) }
    }

    /// Erases the region for good. May be called again, and from any thread.
    ///
    /// Waits a second at most: whoever has stopped the terminal (^S) can still end bpftest.
    public func ended() {
        timer.withLock { timer in
            timer?.cancel()
            timer = nil
        }
        let erased = DispatchSemaphore(value: 0)
        queue.async {
            self.region.withLock { $0.close() }
            erased.signal()
        }
        _ = erased.wait(timeout: .now() + 1)
    }
}
