// SPDX-License-Identifier: Apache-2.0

/// The functions of a kernel by address and by name: of System.map or `nm` where they were linked, of /proc/kallsyms where
/// they are.
public struct SymbolTable: Sendable {
    private var addresses: [UInt64] = []
    private var names: [String] = []
    private var byName: [String: [Int]] = [:]

    public var count: Int { addresses.count }

    /// - Parameter text: lines `ADDRESS NAME` or `ADDRESS KIND NAME`; others are passed over.
    public init(_ text: some StringProtocol, limit: Int = 2_000_000) {
        var found: [(UInt64, String)] = []
        for line in text.utf8.split(separator: 0x0a) where found.count < limit {
            let words = line.split(separator: 0x20)
            guard words.count == 2 || words.count == 3, words[0].count == 16 else { continue }
            // Kinds other than functions lie between them too, but in other sections.
            if words.count == 3, !"tTwW".utf8.contains(words[1].first ?? 0) { continue }
            guard let address = UInt64(String(decoding: words[0], as: UTF8.self), radix: 16), address != 0 else {
                continue
            }
            found.append((address, String(decoding: words[words.count - 1], as: UTF8.self)))
        }
        found.sort { $0.0 < $1.0 }
        addresses = found.map(\.0)
        names = found.map(\.1)
        for (index, name) in names.enumerated() { byName[name, default: []].append(index) }
    }

    /// The function that an address lies in: the one that begins last before it.
    public func function(at address: UInt64) -> (name: String, offset: UInt64, size: UInt64)? {
        var low = 0
        var high = addresses.count
        while low < high {
            let middle = (low + high) / 2
            if addresses[middle] <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        // The last symbol ends nowhere: what is far beyond it is not in it.
        let next = low < addresses.count ? addresses[low] : addresses[low - 1] + 4096
        guard address < next, next - addresses[low - 1] <= 1 << 20 else { return nil }
        return (names[low - 1], address - addresses[low - 1], next - addresses[low - 1])
    }

    /// Where a name is, if there is one place alone.
    public func address(of name: String) -> UInt64? {
        guard let found = byName[name], found.count == 1 else { return nil }
        return addresses[found[0]]
    }

    /// Where a frame is. Of several functions with its name, the one that has its size.
    public func address(of frame: StackFrame) -> UInt64? {
        guard frame.module == nil, var found = byName[frame.symbol] else { return nil }
        if found.count > 1 { found = found.filter { size(of: $0) == frame.size } }
        guard found.count == 1, frame.offset <= size(of: found[0]) else { return nil }
        return addresses[found[0]] &+ frame.offset
    }

    private func size(of index: Int) -> UInt64 {
        // Names of one place are one function.
        var next = index + 1
        while next < addresses.count, addresses[next] == addresses[index] { next += 1 }
        return next < addresses.count ? addresses[next] - addresses[index] : 4096
    }
}
