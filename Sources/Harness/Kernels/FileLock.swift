// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// One bpftest at a time: held until the value goes away, or the process, however that ends.
struct FileLock: ~Copyable {
    private let file: OwnedFD

    /// Waits for the lock.
    ///
    /// - Parameter onWait: called once, when another process has it.
    static func take(_ path: FilePath, onWait: () -> Void) async throws(HarnessError) -> FileLock {
        let file: OwnedFD
        do {
            file = try Descriptors.open(path.string, O_RDWR | O_CREAT, mode: 0o600)
        } catch {
            throw .infrastructure("\(path) cannot be opened: \(error)")
        }
        var waited = false
        while let error = file.tryLock() {
            guard error == .resourceTemporarilyUnavailable || error == .interrupted else {
                throw .infrastructure("\(path) cannot be locked: \(error)")
            }
            if !waited { onWait() }
            waited = true
            do {
                // There is no event to wait for: a lock that becomes free says nothing, and a waiting flock(2)
                // would hold a thread that ^C cannot get at.
                try await Task.sleep(for: .milliseconds(100))
            } catch {
                throw .cancelled
            }
        }
        return FileLock(file: file)
    }

    /// Lets the next one in.
    consuming func release() {}
}
