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

    public var isCancelled: Bool { flag.load(ordering: .acquiring) }

    /// To be polled for reading.
    var descriptor: CInt { event.raw }
}
