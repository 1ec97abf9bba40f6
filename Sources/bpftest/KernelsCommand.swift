// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage
internal import VMRunner

/// `bpftest kernels`: the kernels in the cache.
struct KernelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels", abstract: "Kernels by version: list, fetch, build, prune.",
        subcommands: [List.self, Fetch.self, Build.self, Prune.self], defaultSubcommand: List.self)

    /// Progress goes to stderr; stdout has the command's answer.
    static func store(_ sources: KernelSources = KernelSources()) -> KernelStore {
        KernelStore(folders: Folders(environment: ProcessInfo.processInfo.environment), sources: sources) {
            Terminal.log("bpftest: \($0)")
        }
    }

    /// A line of the command's answer.
    static func show(_ text: String) throws(HarnessError) {
        try Terminal.show(text + "\n")
    }

    static func requests(_ specs: [String]) throws -> [KernelRequest] {
        try specs.map { spec in
            if let request = KernelRequest(spec) { return request }
            throw ValidationError(
                KernelRequest.complaint(about: spec)
                    ?? "'\(spec)' is no kernel version (such as 6.12, 6.1.*, 7.3-rc, latest or all)")
        }
    }
}

extension KernelsCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the kernels in the cache, or with --remote those that can be fetched.",
            discussion: """
                In the cache: what to give to -k, mainline version, where it is from, MiB on disk. Remote: what to give \
                to -k, mainline version, flavour, package, MiB to fetch, and whether it is in the cache.
                """)

        @Flag(help: "What can be fetched, newest first.")
        var remote = false

        @Flag(help: "Look it up now, not only when the last look is ten minutes ago.")
        var refresh = false

        @OptionGroup
        var kernelSources: SourceOptions

        @Argument(help: "With --remote, only these: 6.12, 6.12:generic, latest.")
        var specs: [String] = []

        func validate() throws {
            _ = try KernelsCommand.requests(specs)
            if !remote, refresh || !specs.isEmpty { throw ValidationError("--refresh and versions go with --remote") }
        }

        func run() async throws {
            await Terminal.carryOut { (_) async throws(HarnessError) in
                if remote { try await showRemote() } else { try showCached() }
                return 0
            }
        }

        private func showCached() throws(HarnessError) {
            let kernels = KernelsCommand.store().cachedKernels()
            if kernels.isEmpty { Terminal.log("no kernels in the cache: bpftest kernels fetch 6.12 gets one") }
            let rows = kernels.map { kernel in
                [kernel.handle, kernel.version, kernel.origin, "\(kernel.size >> 20) MiB"]
            }
            for row in rows {
                let cells = row.enumerated().map { column, text in
                    text.padding(
                        toLength: rows.map { $0[column].count }.max() ?? 0, withPad: " ", startingAt: 0)
                }
                try KernelsCommand.show(cells.joined(separator: "  ").trimmingCharacters(in: .whitespaces))
            }
        }

        private func showRemote() async throws(HarnessError) {
            let listings = try await KernelsCommand.store(try kernelSources.read()).offers(
                matching: specs.compactMap { KernelRequest($0) }, refreshes: refresh)
            if listings.isEmpty { throw .usage("no kernel on offer matches \(specs.joined(separator: " "))") }
            let rows = listings.map { listing in
                let offer = listing.offer
                return [
                    offer.release, offer.version.description, offer.flavour?.rawValue ?? "-", offer.title, offer.origin,
                    offer.size.map { "\($0 >> 20)" } ?? "-",
                    listing.cached != nil ? "cached" : offer.missing.isEmpty ? "" : "without modules",
                ]
            }
            try Table.show(
                [
                    ("KERNEL", .left), ("VERSION", .left), ("FLAVOUR", .left), ("PACKAGE", .left), ("FROM", .left),
                    ("MiB", .right), ("", .left),
                ], rows)
        }
    }

    struct Fetch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetch the newest kernels of some versions.",
            discussion: """
                6.12 or 6.12.*: the newest of the series. 6.12.117: that one. 7.3-rc, 7.3-rc7: release candidates. \
                latest: the newest release. all: the newest of each series. With :cloud (usual) or :generic behind it: \
                the flavour. They come from Debian's archive, verified by apt's own signatures; the system's apt is not \
                touched. An interrupted fetch goes on where it was.
                """)

        @OptionGroup
        var kernelSources: SourceOptions

        @Argument(help: "Versions, such as 6.12, 6.1.*, 6.12:generic, 7.3-rc, latest or all.")
        var versions: [String]

        func validate() throws {
            _ = try KernelsCommand.requests(versions)
        }

        func run() async throws {
            await Terminal.carryOut { (_) async throws(HarnessError) in
                let store = KernelsCommand.store(try kernelSources.read())
                for spec in try await store.expand(versions) {
                    guard let request = KernelRequest(spec) else { continue }
                    try KernelsCommand.show(try await store.fetch(request).release)
                }
                return 0
            }
        }
    }

    struct Build: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Build a minimal kernel from a source tree and put it into the cache.",
            discussion: "tinyconfig plus the fragments base, bpf and net. The source tree is not written to.")

        @Option(help: ArgumentHelp("The kernel's source tree.", valueName: "dir"))
        var source: String

        @Option(help: "What to call it: the name for -k. Without: its release.")
        var name: String?

        @Option(
            help: ArgumentHelp(
                "One more fragment: debug, selftests, or a file with lines as in a .config; repeatable.",
                valueName: "fragment"))
        var fragment: [String] = []

        @Option(name: .shortAndLong, help: "Compilers at a time.")
        var jobs: Int = ProcessInfo.processInfo.activeProcessorCount

        func run() async throws {
            await Terminal.carryOut { (_) async throws(HarnessError) in
                let builder = KernelBuilder(
                    source: FilePath(source), name: name, fragments: KernelBuilder.usualFragments + fragment,
                    jobs: max(1, jobs))
                let kernel = try await builder.build(into: KernelsCommand.store())
                try KernelsCommand.show(kernel.handle)
                return 0
            }
        }
    }

    struct Prune: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: """
                Remove what can be made again: guest images, build folders, interrupted downloads, older kernels of the \
                same version and flavour.
                """,
            discussion: "With names: these kernels instead.")

        @Argument(help: "Kernels, by the name that `kernels list` shows.")
        var names: [String] = []

        @Flag(help: "Every kernel in the cache.")
        var all = false

        func run() async throws {
            await Terminal.carryOut { (_) async throws(HarnessError) in
                for line in try await KernelsCommand.store().prune(names: names, all: all) {
                    try KernelsCommand.show("removed \(line)")
                }
                return 0
            }
        }
    }
}
