// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// One bpftest at a time: held until the value goes away, or the process, however that ends.
struct FileLock: ~Copyable {
    private let file: OwnedFD

    /// Waits for the lock.
    ///
    /// - Parameter onWait: called once, when another process has it.
    /// - Throws: `.cancelled` as soon as the task is, whoever has the lock.
    static func take(_ path: FilePath, onWait: () -> Void) async throws(HarnessError) -> FileLock {
        let file: OwnedFD
        do {
            file = try Descriptors.open(path.string, O_RDWR | O_CREAT, mode: 0o600)
        } catch {
            throw .infrastructure("\(path) cannot be opened: \(error)")
        }
        switch file.tryLock() {
        case nil: return FileLock(file: file)
        case Errno.resourceTemporarilyUnavailable?: onWait()
        case let error?: throw .infrastructure("\(path) cannot be locked: \(error)")
        }
        switch await LockWait().wait(file.raw) {
        case nil: return FileLock(file: file)
        case Errno.canceled?: throw .cancelled
        case let error?: throw .infrastructure("\(path) cannot be locked: \(error)")
        }
    }

    /// Lets the next one in.
    consuming func release() {}
}

/// A waiting flock(2) on a thread of its own: the task that wants the lock can be cancelled all the same.
///
/// A cancelled wait leaves its thread in the system call. bpftest is on its way out then, and the thread goes with it.
private final class LockWait: Sendable {
    private let waiter = Mutex<CheckedContinuation<Errno?, Never>?>(nil)

    /// - Returns: nil with the lock; `.canceled` without it.
    func wait(_ descriptor: CInt) async -> Errno? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                waiter.withLock { $0 = continuation }
                if Task.isCancelled { finish(.canceled) }
                Thread {
                    while flock(descriptor, LOCK_EX) != 0 {
                        if errno != EINTR { return self.finish(Errno.last) }
                    }
                    self.finish(nil)
                }.start()
            }
        } onCancel: {
            finish(.canceled)
        }
    }

    /// The first answer counts.
    private func finish(_ answer: Errno?) {
        let waiting = waiter.withLock { waiter in
            defer { waiter = nil }
            return waiter
        }
        waiting?.resume(returning: answer)
    }
}
