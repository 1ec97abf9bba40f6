// SPDX-License-Identifier: Apache-2.0

/// Leaves out of a list what a failure does not need.
///
/// - Source: Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input (2002), the ddmin algorithm.
public enum Reduction {
    /// The items without any one of which it does not fail any more.
    ///
    /// Nothing is asked twice. A failure that needs none of them costs a single question.
    /// - Parameters:
    ///   - items: with all of them it fails.
    ///   - fails: whether it does so with only these.
    public static func minimum<Item, Failure>(
        _ items: [Item], fails: ([Item]) throws(Failure) -> Bool
    ) throws(Failure) -> [Item] {
        if items.isEmpty { return [] }
        if try fails([]) { return [] }
        var left = Array(items.indices)
        var known: [[Int]: Bool] = [Array(items.indices): true, []: false]
        var parts = 2
        while left.count > 1 {
            let chunks = Self.chunks(left, parts)
            var next: (left: [Int], parts: Int)?
            for chunk in chunks where next == nil {
                let rest = left.filter { !chunk.contains($0) }
                if try ask(rest, items, &known, fails) { next = (rest, max(parts - 1, 2)) }
            }
            if next == nil, parts > 2 {
                for chunk in chunks where next == nil {
                    if try ask(chunk, items, &known, fails) { next = (chunk, 2) }
                }
            }
            if let next {
                (left, parts) = next
            } else if parts >= left.count {
                break
            } else {
                parts = min(left.count, parts * 2)
            }
        }
        return left.map { items[$0] }
    }

    private static func ask<Item, Failure>(
        _ some: [Int], _ items: [Item], _ known: inout [[Int]: Bool], _ fails: ([Item]) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        if let answer = known[some] { return answer }
        let answer = try fails(some.map { items[$0] })
        known[some] = answer
        return answer
    }

    private static func chunks(_ items: [Int], _ count: Int) -> [[Int]] {
        let count = min(count, items.count)
        return (0..<count).map { number in
            Array(items[(items.count * number / count)..<(items.count * (number + 1) / count)])
        }
    }
}
