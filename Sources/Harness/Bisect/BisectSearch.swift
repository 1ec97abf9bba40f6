// SPDX-License-Identifier: Apache-2.0

/// The search for a change between two ends that differ: which one to try next, and what the answers tell.
///
/// Places are counted from the older end. What cannot be judged is passed over; a neighbour is tried in its stead.
struct BisectSearch: Sendable, Equatable {
    enum Side: Sendable {
        /// As the older end is.
        case older
        /// As the newer end is.
        case newer
    }

    /// The last place that is known to be as the older end.
    private(set) var low = 0
    /// The first place that is known to be as the newer end.
    private(set) var high: Int
    private(set) var skipped: Set<Int> = []

    /// - Parameter count: places, both ends with them; at least two.
    init(count: Int) {
        precondition(count >= 2)
        high = count - 1
    }

    /// Places that an answer would tell something about.
    var open: [Int] { ((low + 1)..<high).filter { !skipped.contains($0) } }

    /// The open place that is nearest to the middle; nil where none is left.
    var next: Int? {
        // Twice the middle, so that it can be between two places; of two that are as near, the older one.
        let middle = low + high
        return open.min { (abs(2 * $0 - middle), $0) < (abs(2 * $1 - middle), $1) }
    }

    /// - Parameter side: nil for a place that cannot be judged.
    mutating func record(_ place: Int, _ side: Side?) {
        switch side {
        case .older: low = max(low, place)
        case .newer: high = min(high, place)
        case nil: skipped.insert(place)
        }
    }

    /// Tries that are still needed, at most, if none is passed over.
    var stepsLeft: Int {
        var steps = 0
        var rest = open.count
        while rest > 0 {
            steps += 1
            rest /= 2
        }
        return steps
    }

    /// Places that could not be judged and may be where the change is, beside `high`.
    var doubtful: [Int] { ((low + 1)..<high).filter { skipped.contains($0) } }
}
