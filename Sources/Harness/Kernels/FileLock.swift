// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import Synchronization
internal import SystemPackage
internal import VMRunner

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

    /// Takes the lock, or does not.
    ///
    /// - Returns: nil when another process has it.
    static func takeAtOnce(_ path: FilePath) throws(HarnessError) -> FileLock? {
        let file: OwnedFD
        do {
            file = try Descriptors.open(path.string, O_RDWR | O_CREAT, mode: 0o600)
        } catch {
            throw .infrastructure("\(path) cannot be opened: \(error)")
        }
        switch file.tryLock() {
        case nil: return FileLock(file: file)
        case Errno.resourceTemporarilyUnavailable?: return nil
        case let error?: throw .infrastructure("\(path) cannot be locked: \(error)")
        }
    }

    /// Waits for the lock on a thread that is no task's.
    ///
    /// - Parameter onWait: called once, when another process has it.
    /// - Throws: `.cancelled` at a stop sign.
    static func take(
        _ path: FilePath, _ cancellation: Cancellation, onWait: () -> Void
    ) throws(MachineError) -> FileLock {
        do {
            let file = try Descriptors.open(path.string, O_RDWR | O_CREAT, mode: 0o600)
            switch file.tryLock() {
            case nil: return FileLock(file: file)
            case Errno.resourceTemporarilyUnavailable?: onWait()
            case let error?: throw error
            }
            let answer = try Descriptors.event()
            let wait = LockThread(file.raw, answer.raw)
            try cancellation.wait(readable: answer.raw)
            if let error = wait.error { throw error }
            return FileLock(file: file)
        } catch let error as Errno {
            throw .system("\(path) cannot be locked", error)
        } catch let error as MachineError {
            throw error
        } catch {
            throw .qemu("\(error)")
        }
    }

    /// Lets the next one in.
    consuming func release() {}
}

/// A waiting flock(2) on a thread of its own, whose end is an event that can be waited for beside others.
private final class LockThread: Sendable {
    private let failure = Mutex<Errno?>(nil)

    /// Both descriptors must stay open until the event has come, or the process is on its way out.
    init(_ descriptor: CInt, _ event: CInt) {
        Thread {
            while flock(descriptor, LOCK_EX) != 0 {
                let error = Errno.last
                if error == .interrupted { continue }
                self.failure.withLock { $0 = error }
                break
            }
            var one: UInt64 = 1
            // An eventfd takes a 1 always.
            unsafe withUnsafeBytes(of: &one) { _ = unsafe write(event, $0.baseAddress, 8) }
        }.start()
    }

    var error: Errno? { failure.withLock { $0 } }
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
