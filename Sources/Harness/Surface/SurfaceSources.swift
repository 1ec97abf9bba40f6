// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// Where surfaces are to come from: kernels, and files that were written before.
public struct SurfaceSources: Sendable {
    private let words: [String]

    /// - Parameter words: as on the command line; what ends in `.json` is a file.
    public init(_ words: [String]) {
        self.words = words
    }

    private static func isFile(_ word: String) -> Bool { word.hasSuffix(".json") }

    /// Those that are kernels.
    public var kernels: [String] { words.filter { !Self.isFile($0) } }

    /// All of them, in their order.
    ///
    /// - Parameter read: the surfaces of the kernels.
    public func surfaces(_ read: [Surface]) throws(HarnessError) -> [Surface] {
        var rest = read[...]
        var surfaces: [Surface] = []
        for word in words {
            if Self.isFile(word) {
                surfaces.append(try Self.file(word))
            } else if let next = rest.popFirst() {
                surfaces.append(next)
            }
        }
        return surfaces
    }

    private static func file(_ path: String) throws(HarnessError) -> Surface {
        guard let data = FileManager.default.contents(atPath: path) else { throw .usage("\(path) cannot be read") }
        do throws(SurfaceError) {
            return try Surface(json: String(decoding: data, as: UTF8.self))
        } catch {
            throw .usage("\(path): \(error)")
        }
    }
}
