// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import Synchronization
public import SystemPackage

/// A stop sign that every waiting machine sees at once: a descriptor that becomes readable and stays so.
public final class Cancellation: Sendable {
    private let event: OwnedFD
    private let flag = Atomic<Bool>(false)

    public init() throws(Errno) {
        event = try Descriptors.event()
    }

    public func cancel() {
        flag.store(true, ordering: .releasing)
        event.signal()
    }

    /// Makes everybody stop as `cancel` does, for a reason of our own: `isCancelled` stays as it is.
    public func abandon() {
        event.signal()
    }

    public var isCancelled: Bool { flag.load(ordering: .acquiring) }

    /// To be polled for reading.
    var descriptor: CInt { event.raw }

    /// Waits until a descriptor can be read.
    ///
    /// - Throws: `.cancelled` as soon as somebody says stop.
    public func wait(readable other: CInt) throws(MachineError) {
        var poller = Poller()
        poller.add(descriptor, .read)
        poller.add(other, .read)
        do {
            while true {
                if try poller.wait(nil), poller[1] != [] { return }
                if poller[0] != [] { break }
            }
        } catch {
            throw .system("poll", error)
        }
        throw .cancelled
    }
}
