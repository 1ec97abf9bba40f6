// SPDX-License-Identifier: Apache-2.0
internal import Crashes

/// Expressions for complaints that may come, in a manifest: what compiling or matching one costs must not be up to
/// whoever wrote it.
public enum AllowedComplaints {
    static let countLimit = 200
    private static let lengthLimit = 500
    /// glibc writes a repeated part out as often as it may come, and one within another as often as their product.
    private static let repeatLimit = 1000

    /// Why an expression can be in no manifest; nil: it can.
    public static func problem(_ pattern: String) -> String? {
        guard pattern.utf8.count <= lengthLimit else { return "has more than \(lengthLimit) bytes" }
        guard pattern.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            return "has other characters than those of ASCII"
        }
        var repeats = 1
        for part in pattern.utf8.split(separator: UInt8(ascii: "{")).dropFirst(pattern.hasPrefix("{") ? 0 : 1) {
            let bounds = part.prefix { $0 != UInt8(ascii: "}") }.split(separator: UInt8(ascii: ","))
            let most = bounds.map { Int(String(decoding: $0, as: UTF8.self)) ?? 1 }.max() ?? 1
            guard most <= repeatLimit, repeats * max(most, 1) <= repeatLimit else {
                return "repeats more than \(repeatLimit) times"
            }
            repeats *= max(most, 1)
        }
        guard !refersBack(pattern) else { return "refers back to a part of itself" }
        do throws(SplatAllowlist.Mistake) {
            guard try !SplatAllowlist(pattern).isEmpty else { return "is a comment, or nothing" }
        } catch {
            return "cannot be used: \(error.reason)"
        }
        return nil
    }

    /// What `\1` matches is found by trying, which takes as long as its writer likes.
    private static func refersBack(_ pattern: String) -> Bool {
        var isEscaped = false
        for byte in pattern.utf8 {
            if isEscaped, (0x30...0x39).contains(byte) { return true }
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
        }
        return false
    }

    /// Those of a run that a manifest can have.
    ///
    /// - Parameter leftOut: gets each of the others, and why.
    /// - Returns: nil: there are none.
    public static func usable(_ patterns: [String], leftOut: (String, String) -> Void) -> [String]? {
        var usable: [String] = []
        for pattern in patterns where !usable.contains(pattern) {
            if let why = problem(pattern) {
                leftOut(pattern, why)
            } else if usable.count == countLimit {
                leftOut(pattern, "is one of more than \(countLimit)")
            } else {
                usable.append(pattern)
            }
        }
        return usable.isEmpty ? nil : usable
    }
}

extension Manifest.Judge {
    /// Compiled. What cannot be is in no manifest that has been read.
    var allowlist: SplatAllowlist {
        var list = SplatAllowlist()
        for pattern in allowed ?? [] {
            guard let one = try? SplatAllowlist(pattern) else { preconditionFailure("\(pattern) was not checked") }
            list.add(one)
        }
        return list
    }
}
