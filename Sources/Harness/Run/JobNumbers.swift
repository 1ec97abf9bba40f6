// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// Gives each job of this process a number of its own.
final class JobNumbers: Sendable {
    private let last = Atomic<UInt32>(0)

    func next() -> UInt32 {
        last.add(1, ordering: .relaxed).newValue
    }
}
