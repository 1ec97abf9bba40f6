// SPDX-License-Identifier: Apache-2.0
internal import Glibc
public import SystemPackage

/// One `poll(2)` over a handful of descriptors.
public struct Poller {
    public struct Interest: OptionSet, Sendable {
        public let rawValue: Int16
        public init(rawValue: Int16) { self.rawValue = rawValue }
        public static let read = Interest(rawValue: Int16(POLLIN))
        public static let write = Interest(rawValue: Int16(POLLOUT))
        /// The other side is gone or the descriptor is in error: always reported.
        public static let hangUp = Interest(rawValue: Int16(POLLHUP | POLLERR | POLLNVAL))
    }

    private var set: [pollfd] = []

    public init() {}

    public mutating func removeAll() {
        set.removeAll(keepingCapacity: true)
    }

    /// Adds a descriptor; its index is the number of those added before it.
    public mutating func add(_ descriptor: CInt, _ interest: Interest) {
        set.append(pollfd(fd: descriptor, events: interest.rawValue, revents: 0))
    }

    /// What came for the descriptor at `index` in the last `wait`.
    public subscript(index: Int) -> Interest {
        Interest(rawValue: set[index].revents)
    }

    /// Waits until something comes or the time is over.
    ///
    /// - Parameter limit: nil waits for ever. A remainder under a millisecond is rounded up.
    /// - Returns: whether something came. An interrupting signal counts as nothing.
    public mutating func wait(_ limit: Duration?) throws(Errno) -> Bool {
        var milliseconds: CInt = -1
        if let limit {
            let (seconds, attoseconds) = limit.components
            let whole = max(0, seconds) * 1000 + max(0, attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
            milliseconds = CInt(clamping: limit <= .zero ? 0 : whole)
        }
        let result = unsafe poll(&set, nfds_t(set.count), milliseconds)
        if result < 0 {
            let error = Errno.last
            if error == .interrupted {
                for index in set.indices { set[index].revents = 0 }
                return false
            }
            throw error
        }
        return result > 0
    }
}
