// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// A value that threads share, and can wait for.
final class Monitor<Value>: @unchecked Sendable {
    // SAFETY: the value is touched only by whoever holds the condition's lock.
    private let condition = NSCondition()
    private var value: Value

    init(_ value: sending Value) {
        self.value = value
    }

    /// Changes the value; everybody who waits looks again.
    func change<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        condition.lock()
        defer {
            condition.broadcast()
            condition.unlock()
        }
        return body(&value)
    }

    /// Waits until the body has an answer.
    func wait<Result: Sendable>(_ body: (inout Value) -> Result?) -> Result {
        condition.lock()
        defer {
            condition.broadcast()
            condition.unlock()
        }
        while true {
            if let result = body(&value) { return result }
            condition.wait()
        }
    }
}
