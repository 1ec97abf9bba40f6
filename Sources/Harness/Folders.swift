// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// Where bpftest keeps what can be made again.
public struct Folders: Sendable {
    /// `$XDG_CACHE_HOME/bpftest`, or `~/.cache/bpftest`.
    public let cache: FilePath

    public init(environment: [String: String]) {
        if let named = environment["BPFTEST_CACHE"], !named.isEmpty {
            cache = FilePath(named)
        } else if let named = environment["XDG_CACHE_HOME"], named.hasPrefix("/") {
            cache = FilePath(named).appending("bpftest")
        } else {
            cache = FilePath(environment["HOME"] ?? "/tmp").appending(".cache/bpftest")
        }
    }

    var kernels: FilePath { cache.appending("kernels") }
    var images: FilePath { cache.appending("images") }
    var zygotes: FilePath { cache.appending("zygotes") }
    var apt: FilePath { cache.appending("apt") }
    var downloads: FilePath { cache.appending("downloads") }

    /// Makes a folder of the cache.
    static func make(_ path: FilePath) throws(HarnessError) {
        do {
            try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: true)
        } catch {
            throw .infrastructure(
                "\(path) cannot be made: \(reason(error)) (BPFTEST_CACHE names another place for the cache)")
        }
    }

    /// The system's own words for an error of Foundation, which hides them.
    static func reason(_ error: any Error) -> String {
        let outer = error as NSError
        if let inner = outer.userInfo[NSUnderlyingErrorKey] as? NSError, inner.domain == NSPOSIXErrorDomain {
            return Errno(rawValue: CInt(inner.code)).description
        }
        let text = outer.localizedDescription
        // What it says of everything.
        let common = "The operation could not be completed. "
        return text.hasPrefix(common) ? String(text.dropFirst(common.count)) : text
    }
}
