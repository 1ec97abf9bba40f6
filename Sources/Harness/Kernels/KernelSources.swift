// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// Where kernels by version come from, besides Debian's archive.
public struct KernelSources: Sendable, Equatable {
    /// Folders with builds: packages, unpacked packages, build trees, kernel files. They come before everything else.
    public var folders: [FilePath]
    /// Builds at URLs, with their checksums. They come before Debian's.
    public var templates: [KernelTemplate]
    /// Whether Debian's archive is asked at all.
    public var usesDebian: Bool

    public init(folders: [FilePath] = [], templates: [KernelTemplate] = [], usesDebian: Bool = true) {
        self.folders = folders
        self.templates = templates
        self.usesDebian = usesDebian
    }

    /// `BPFTEST_KERNELS_DIR`: folders, with a colon between them.
    public init(environment: [String: String]) {
        let named = environment["BPFTEST_KERNELS_DIR"] ?? ""
        self.init(folders: named.split(separator: ":").map { FilePath(String($0)) })
    }

    /// These and others', each once.
    public func adding(_ other: KernelSources) -> KernelSources {
        KernelSources(
            folders: folders + other.folders.filter { !folders.contains($0) },
            templates: templates + other.templates.filter { !templates.contains($0) },
            usesDebian: usesDebian && other.usesDebian)
    }
}

/// An organisation's own builds: addresses with `{version}` in them, and what the files there must be.
public struct KernelTemplate: Sendable, Equatable {
    /// What it is called in messages and in the cache.
    public var name: String
    /// For each file of a kernel, packages or archives: `https://builds.example/{version}/linux-image.deb`; `file:` too.
    public var urls: [String]
    /// The versions that there are, and for each the SHA-256 of its files in the order of `urls`.
    public var checksums: [String: [String]]

    public init(name: String, urls: [String], checksums: [String: [String]]) {
        self.name = name
        self.urls = urls
        self.checksums = checksums
    }

    /// What is wrong with it, in words that name what to change; nil where nothing is.
    public var complaint: String? {
        if name.isEmpty || name == DebianArchive.providerName || name.contains("/") || name.hasPrefix(".") {
            return "'\(name)' cannot be the name of a kernel source"
        }
        if urls.isEmpty { return "the kernel source \(name) has no url" }
        for url in urls {
            guard ["https://", "http://", "file:/"].contains(where: url.hasPrefix) else {
                return "the kernel source \(name): '\(url)' is no https:, http: or file: URL"
            }
            guard url.contains("{version}") else { return "the kernel source \(name): '\(url)' has no {version} in it" }
            guard Self.suffixes.contains(where: url.hasSuffix) else {
                return "the kernel source \(name): '\(url)' ends in none of \(Self.suffixes.joined(separator: ", "))"
            }
        }
        for (version, sums) in checksums.sorted(by: { $0.key < $1.key }) {
            guard KernelRequest(version).map({ !$0.isSeveral }) ?? Self.isRelease(version) else {
                return "the kernel source \(name): '\(version)' is no kernel version"
            }
            guard sums.count == urls.count else {
                return "the kernel source \(name): \(version) has \(sums.count) checksums for \(urls.count) files"
            }
            for sum in sums where sum.count != 64 || !sum.allSatisfy(\.isHexDigit) {
                return "the kernel source \(name): \(version): '\(sum)' is no SHA-256 (64 hexadecimal digits)"
            }
        }
        return nil
    }

    static let suffixes = [".deb", ".tar", ".tar.gz", ".tar.xz", ".tar.zst"]

    private static func isRelease(_ text: String) -> Bool {
        text.first?.isNumber == true && !text.contains("/") && !text.contains("..")
    }
}
