// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

extension Machine {
    /// A descriptor of ours whose bytes are a job's stdin.
    struct Feed {
        let job: UInt32
        /// The caller's, who keeps it open.
        let descriptor: CInt
        /// Bytes that may be sent before the guest says that some were taken.
        var credit = inputWindow
        var isOver = false

        var pollable: CInt? { isOver || credit == 0 ? nil : descriptor }
    }

    /// Has a job read what comes from a descriptor, until `stopFeeding`. Nothing is read before the job takes it.
    ///
    /// - Parameter descriptor: stays the caller's, and open.
    public func feed(job: UInt32, from descriptor: CInt) {
        feed = Feed(job: job, descriptor: descriptor)
    }

    /// Reads no more; what the descriptor still holds is left in it.
    public func stopFeeding() {
        feed = nil
    }

    /// Passes on what is there, a frame of it.
    func readFeed() {
        guard let now = feed else { return }
        var chunk = [UInt8](repeating: 0, count: min(now.credit, 64 << 10))
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(now.descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        if count > 0 {
            send(.input(id: now.job, bytes: chunk[..<count]))
            feed?.credit -= count
        } else {
            // An error is an end too: the job sees that nothing more comes.
            send(.inputEnd(id: now.job))
            feed?.isOver = true
        }
    }

    func taken(_ count: Int, of job: UInt32) throws(FrameError) {
        guard let now = feed, now.job == job else { return }
        guard count <= inputWindow - now.credit else {
            throw .badValue("\(count) bytes of input were taken, of \(inputWindow - now.credit) sent")
        }
        feed?.credit += count
    }
}
