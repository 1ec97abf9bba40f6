// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing
import VMRunner

@testable import Harness

/// Sources of kernels as files, environment and command line name them.
@Suite struct KernelSourcesFileTests {
    private static let sum = String(repeating: "ab", count: 32)
    private let cache: ScratchCache

    init() throws {
        cache = try ScratchCache()
    }

    private func write(_ text: String, _ name: String = "ci/sources.toml") throws -> String {
        try cache.write(name, Data(text.utf8)).string
    }

    private func refusal(_ body: () throws(HarnessError) -> KernelSources) -> String {
        do throws(HarnessError) {
            return "taken: \(try body())"
        } catch .usage(let text) {
            return text
        } catch {
            return "of another kind: \(error)"
        }
    }

    @Test func everyKeyIsRead() throws {
        let file = try write(
            """
            [sources]
            folders = ["builds", "/srv/kernels"]
            debian = false
            [source.acme]
            url = "https://builds.example/{version}/linux-image.deb"
            [source.acme.sha256]
            "6.12.30-acme" = "\(Self.sum)"
            [source."two.files"]
            urls = ["https://b.example/{version}/image.deb", "https://b.example/{version}/modules.tar.zst"]
            sha256 = { "6.18.1" = ["\(Self.sum)", "\(Self.sum)"] }
            """)
        let sources = try KernelSources.read(FilePath(file))
        #expect(sources.folders == [cache.folders.cache.appending("ci/builds"), "/srv/kernels"])
        #expect(!sources.usesDebian)
        #expect(sources.templates.map(\.name) == ["acme", "two.files"])
        #expect(sources.templates[0].urls == ["https://builds.example/{version}/linux-image.deb"])
        #expect(sources.templates[0].checksums == ["6.12.30-acme": [Self.sum]])
        #expect(sources.templates[1].checksums == ["6.18.1": [Self.sum, Self.sum]])
    }

    @Test(arguments: [
        ("[sources]\nfolder = []", "'folder' in [sources] is unknown: is it 'folders'?"),
        ("[source.a]\nurls = []\nsha = 1", "'sha' in [source.\"a\"] is unknown"),
        ("[surces]\ndebian = true", "'surces' is unknown: is it 'sources'?"),
        ("[sources]\ndebian = 1", "'debian' in [sources] wants true or false"),
        ("[sources]\ndebian = false", "kernels by version would come from nowhere"),
        ("[source.a]\nurl = \"ftp://x/{version}.deb\"", "no https:, http: or file: URL"),
        ("[source.a]\nurl = \"https://x/{version}.deb\"", "[source.\"a\"] names no version"),
        (
            "[source.a]\nurl = \"https://x/{version}.deb\"\n[source.a.sha256]\n6.12.30 = \"ab\"",
            "a name with dots in quotation marks"
        ),
        ("[source.a]\nurl = \"https://x/{version}.deb\"\n[source.a.sha256]\n\"6.12.30\" = \"ab\"", "is no SHA-256"),
        (
            "[source.a]\nurl = \"https://x/{version}.deb\"\n[source.a.sha256]\n\"6.12.30\" = 5",
            "wants a string or an array of strings"
        ),
        ("[source.debian]\nurl = \"https://x/{version}.deb\"", "cannot be the name of a kernel source"),
    ])
    func whatIsWrongIsSaidWithItsFile(_ text: String, _ words: String) throws {
        let file = try write(text)
        let said = refusal { () throws(HarnessError) in try KernelSources.read(FilePath(file)) }
        #expect(said.hasPrefix(file) && said.contains(words), "\(said)")
    }

    @Test func aConfigurationOfAMatrixHasThemToo() throws {
        let text = """
            kernels = ["6.12.30-acme"]
            [sources]
            folders = ["builds"]
            [source.acme]
            url = "https://builds.example/{version}.deb"
            sha256 = { "6.12.30-acme" = "\(Self.sum)" }
            """
        let config = try MatrixConfig(file: "ci/bpftest.toml", text: text)
        #expect(config.sources.folders == ["ci/builds"] && config.sources.usesDebian)
        #expect(config.sources.templates.map(\.name) == ["acme"])
        let file = try write(text, "bpftest.toml")
        let read = try KernelSources.read(FilePath(file))
        #expect(read.folders == [cache.folders.cache.appending("builds")])
        #expect(read.templates == config.sources.templates)
        let table = refusal { () throws(HarnessError) in
            try MatrixConfig(file: "ci/bpftest.toml", text: "[kernels]\nfolders = []").sources
        }
        #expect(table.contains("'kernels' is the list of kernels") && table.contains("[sources]"), "\(table)")
    }

    /// The nearer it is said, the earlier it is looked into: command line, then environment.
    @Test func commandLineAndEnvironmentAddUp() throws {
        let mine = try write("[sources]\nfolders = [\"/c\"]\ndebian = false", "mine.toml")
        let all = try write(
            "[source.acme]\nurl = \"https://x/{version}.deb\"\nsha256 = { \"6.12.30\" = \"\(Self.sum)\" }", "all.toml")
        let environment = ["BPFTEST_KERNELS_DIR": "/d:/a", "BPFTEST_SOURCES": all]
        let sources = try KernelSources.all(environment: environment, folders: ["/a"], files: [mine])
        #expect(sources.folders == ["/a", "/c", "/d"])
        #expect(sources.templates.map(\.name) == ["acme"] && !sources.usesDebian)
        #expect(try KernelSources.all(environment: [:], folders: [], files: []) == KernelSources())
        // The same file twice is one source; another of that name is not.
        #expect(try KernelSources.all(environment: environment, folders: [], files: [all]).templates.count == 1)
        let other = try write(
            "[source.acme]\nurl = \"https://y/{version}.deb\"\nsha256 = { \"6.12.30\" = \"\(Self.sum)\" }", "other.toml"
        )
        let said = refusal { () throws(HarnessError) in
            try KernelSources.all(environment: environment, folders: [], files: [other])
        }
        #expect(said.contains("another kernel source of the name acme"), "\(said)")
        let absent = refusal { () throws(HarnessError) in
            try KernelSources.all(environment: [:], folders: [], files: ["/nowhere/sources.toml"])
        }
        #expect(absent.contains("the kernel sources /nowhere/sources.toml cannot be read"), "\(absent)")
    }
}
